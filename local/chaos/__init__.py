"""The fault lab: what goes wrong on AWS now and then, made to happen here.

A fault is data: its kind says what happens and at which place of the laptop
cloud; its fields say whom it strikes, from which time on and how often. One
lab holds the faults that wait; each place asks it, and nothing in production
knows of it.

    faults       the kinds of faults
    lab          the faults that wait, and what they struck
    plan         faults as a file
    calls        which operation an HTTP request asks for, and who asks
    door         faults of API calls, at the cloud's front door
    states       faults of states, in the Step Functions interpreter
    processes    faults of jobs' processes
    functions    faults of Lambda functions
    deliveries   faults of events

The matrix is made of these:

    catalogue    each fault, and at which states it can be
    scenes       what people and events do, and what must be there before
    way, ways    ways through the machines that lead past their states
    invariants   what must be true afterwards
    round        one execution that meets a fault at some states
    matrix       a fault at every state of a way
    crew         laptop clouds side by side that do so
    results      what became of all of it, as JSON and as a page
"""

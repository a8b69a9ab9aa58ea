"""FastAPI: pydantic models of request and answer, an ``async`` endpoint, uvicorn with uvloop and httptools.

https://fastapi.tiangolo.com/tutorial/body/
"""

import uvicorn
from fastapi import FastAPI

from benchmarks.serve_peers import PORT, Answer, Rows, session, to_answer, to_array

app, model = FastAPI(), session()


@app.post("/invocations")
async def predict(request: Rows) -> Answer:
    """Answer each row."""
    return to_answer(model.run(None, {"numeric": to_array(request.instances)})[0])


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, loop="uvloop", http="httptools", access_log=False)

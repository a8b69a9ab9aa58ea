"""The story of a run: an upload becomes a served model.

Each line is a state, in the order of the story, with where it leads. What a
state does is in ``infra/steps/``. A state that is tried again only because of
something that passes says so in its Retry; there is a Catch only where there is
a remedy. Any other error fails the execution, so that redrive continues at the
state that failed.
"""

from __future__ import annotations

from typing import Any

from infra.asl import machine
from infra.deployment import LONGEST_SECONDS as DEPLOYMENT_SECONDS
from infra.steps import accept, approve, champion, evaluate, image, plan, prepare, release, script, settle, train, tune
from infra.steps.parts import Parts

DAY = 86_400


def story(parts: Parts) -> dict[str, Any]:
    """Return the pipeline's definition."""
    return machine(
        comment="An upload becomes a served model.",
        timeout_seconds=60 * DAY,  # two training jobs of the longest time that SageMaker allows
        states={
            "Accept request": accept.request(parts, then="Is request accepted?"),
            "Is request accepted?": accept.is_accepted(yes="Is upload small?", no="Settle run"),
            # A dataset, or the reasons why there is none.
            "Is upload small?": prepare.is_small(yes="Prepare dataset", no="Prepare large dataset"),
            "Prepare dataset": prepare.small(parts, then="Read dataset report", outgrown="Prepare large dataset"),
            "Prepare large dataset": prepare.large(parts, then="Read dataset report"),
            "Read dataset report": prepare.read_report(parts, then="Is dataset accepted?"),
            "Is dataset accepted?": accept.is_accepted(yes="Plan compute", no="Settle run"),
            # Nothing is trained before the plan, a preparation job included, is within the budget.
            "Plan compute": plan.compute(parts, then="Is plan within budget?"),
            "Is plan within budget?": plan.is_accepted(
                yes="Is a search wanted?", no="Settle run", wait="Wait for machines"
            ),
            "Wait for machines": plan.wait(then="Plan compute"),
            # A search is many training jobs; the best one's model goes on.
            "Is a search wanted?": tune.is_wanted(
                one="Tune", again="Tune from earlier search", recipes="Tune recipes", no="Use spot?"
            ),
            "Tune": tune.one(parts, then="Wait for search", refused="Choose best model"),
            "Tune from earlier search": tune.again(parts, then="Wait for search", refused="Choose best model"),
            "Tune recipes": tune.recipes(parts, then="Wait for search", refused="Choose best model"),
            "Wait for search": tune.pause(then="Describe search"),
            "Describe search": tune.describe(then="Is search over?"),
            "Is search over?": tune.is_over(yes="Choose best model", not_yet="Wait for search", too_long="Stop search"),
            "Stop search": tune.stop(then="Wait for search"),
            "Choose best model": tune.choose_best(parts, then="Did the search find a model?"),
            "Did the search find a model?": tune.is_found(
                yes="Check artefact", no="Is capacity missing for the search?"
            ),
            "Is capacity missing for the search?": tune.is_capacity_missing(
                yes="Is a search wanted?", no="Fail search"
            ),
            "Fail search": train.failed(parts, redriven="Is a search wanted?"),
            # Cheap machines first; missing capacity is the one failure with a remedy.
            "Use spot?": plan.use_spot(yes="Train on spot", no="Train on demand"),
            "Train on spot": train.on_spot(parts, then="Did spot training finish?", failed="Is capacity missing?"),
            "Is capacity missing?": train.is_capacity_missing(yes="Train on demand", no="Fail training"),
            "Did spot training finish?": train.did_spot_finish(
                yes="Check artefact", no="Stop training", unfinished="Train on demand"
            ),
            "Train on demand": train.on_demand(parts, then="Did training finish?"),
            "Did training finish?": train.did_finish(yes="Check artefact", no="Stop training"),
            "Fail training": train.failed(parts, redriven="Use spot?"),
            "Stop training": train.stopped(parts, redriven="Use spot?"),
            "Check artefact": train.check_artefact(parts, then="Is it a script's model?"),
            # A script's model is known to the script alone: its own metric decides, and its owner serves it.
            "Is it a script's model?": script.is_script(yes="Judge script", no="Find champion"),
            "Judge script": script.judge(parts, then="Is the script's model better?"),
            "Is the script's model better?": evaluate.gate(promote="Register script", keep="Settle run"),
            "Register script": script.register(parts, then="Settle run"),
            # The challenger against the champion, on the same rows.
            "Find champion": champion.find(parts, then="Evaluate"),
            "Evaluate": evaluate.job(parts, then="Read evaluation report"),
            "Read evaluation report": evaluate.read_report(parts, then="Gate"),
            "Gate": evaluate.gate(promote="Find serving image", keep="Settle run"),
            # A version refers to the image that serves it, so that comes first.
            "Find serving image": image.find(parts, then="Register model", missing="Build serving image"),
            "Build serving image": image.build(parts, then="Register model"),
            # A better model is served; if the champion changed meanwhile, it is compared again.
            "Register model": release.register(parts, then="Is approval wanted?"),
            "Is approval wanted?": approve.is_wanted(yes="Approve", no="Deploy"),
            "Approve": approve.wait(parts, then="Is version approved?", expired="Expire approval"),
            "Is version approved?": approve.is_approved(yes="Deploy", no="Settle run"),
            "Expire approval": approve.expire(then="Settle run"),
            "Deploy": release.deploy(parts, then="Is model deployed?", seconds=DEPLOYMENT_SECONDS + 300),
            "Is model deployed?": release.is_deployed(
                yes="Settle run", again="Find champion", give_up="Champion keeps changing"
            ),
            "Champion keeps changing": release.keeps_changing(),
            "Settle run": settle.run(parts),
        },
    )

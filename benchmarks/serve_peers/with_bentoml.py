"""BentoML: a service whose API takes and gives pydantic models.

https://docs.bentoml.com/en/latest/build-with-bentoml/services.html

    bentoml serve benchmarks.serve_peers.with_bentoml:Cells
"""

from typing import Annotated, Any

import bentoml
from pydantic import Field

from benchmarks.serve_peers import Answer, Row, session, to_answer, to_array


@bentoml.service(logging={"access": {"enabled": False}})
class Cells:
    """Answer each row."""

    def __init__(self) -> None:
        self.model = session()

    @bentoml.api(route="/invocations")
    def predict(self, instances: Annotated[list[Row], Field(min_length=1)]) -> Answer:
        """Answer each row."""
        probabilities: Any = self.model.run(None, {"numeric": to_array(instances)})[0]
        return to_answer(probabilities)

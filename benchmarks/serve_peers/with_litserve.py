"""LitServe: a LitAPI whose ``decode_request`` takes a pydantic model.

https://lightning.ai/docs/litserve/features/request-response-format
"""

from typing import Any

import litserve
import numpy as np

from benchmarks.serve_peers import PORT, Rows, session, to_answer, to_array


class Api(litserve.LitAPI):
    """Answer each row."""

    def setup(self, device: str) -> None:
        """Load the model, in the worker."""
        self.model = session()

    def decode_request(self, request: Rows) -> np.ndarray:
        """Return the model's input."""
        return to_array(request.instances)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return probabilities."""
        return np.asarray(self.model.run(None, {"numeric": x})[0])

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        """Return the answer."""
        return to_answer(output).model_dump()


if __name__ == "__main__":
    server = litserve.LitServer(Api(api_path="/invocations"), accelerator="cpu")
    server.run(host="127.0.0.1", port=PORT, log_level="warning", generate_client_file=False, access_log=False)

"""A plain SageMaker script: straight lines fitted by gradient descent, on one host or several.

Nothing in it knows of Tandem: the arguments are the hyperparameters, the folders come from the SM_* variables of
SageMaker's script mode, and the last line that matches the metric's expression is the score.
"""

import argparse
import csv
import os
from pathlib import Path

import torch
import torch.distributed as dist


def read(folder: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return x and y of every CSV file of a channel, float32 [rows, 1] each."""
    rows = []
    for path in sorted(Path(folder).rglob("*.csv")):
        with path.open(newline="") as file:
            rows += [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]
    table = torch.tensor(rows)
    return table[:, :1], table[:, 1:]


def main() -> None:
    """Train, tell the score, save the model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--train", default=os.environ["SM_CHANNEL_TRAINING"])
    args = parser.parse_args()

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group("gloo")
    torch.manual_seed(0)  # every process starts with the same weights
    x, y = read(args.train)
    held = torch.arange(len(x)) % 5 == 0
    model = torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(model.weight)
    optimiser = torch.optim.Adam(model.parameters(), lr=args.learning_rate)
    for _ in range(args.epochs):
        loss = torch.nn.functional.mse_loss(model(x[~held]), y[~held])
        optimiser.zero_grad()
        loss.backward()
        if dist.is_initialized():
            for parameter in model.parameters():
                gradient = parameter.grad
                assert gradient is not None  # backward has set it
                dist.all_reduce(gradient)
                gradient /= dist.get_world_size()
        optimiser.step()
    with torch.no_grad():
        rmse = torch.nn.functional.mse_loss(model(x[held]), y[held]).sqrt().item()
    print(f"rmse={rmse:.6f};", flush=True)
    if not dist.is_initialized() or dist.get_rank() == 0:
        torch.save(model.state_dict(), os.path.join(args.model_dir, "model.pth"))
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()

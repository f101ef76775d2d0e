"""Blend two checkpoints of train.py, one fine-tuned from the other, into a network between them.

    python blend.py runs/calm runs/wild 0.4 --out runs/between --content photographs/
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from network import StyleNet
from train import save, split_photographs


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("first", type=Path)
    p.add_argument("second", type=Path)
    p.add_argument("share", type=float, help="of the second, 0 to 1")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--content", type=Path, required=True, help="folder of photographs, for the samples")
    p.add_argument("--hold-out", type=int, default=20)
    a = p.parse_args()
    first, second = (torch.load(f / "checkpoint.pt", map_location="cpu", weights_only=True) for f in (a.first, a.second))
    net = StyleNet()
    net.load_state_dict({k: torch.lerp(v, second["net"][k], a.share) for k, v in first["net"].items()})
    a.out.mkdir(parents=True, exist_ok=True)
    facts = {**second["facts"], "blend": {"of": first["facts"], "share_of_second": a.share}}
    _, held = split_photographs(a.content, a.hold_out)
    save(a.out, Path(facts["style"]).stem, net, torch.optim.Adam(net.parameters()), held, facts)
    print(json.dumps({"out": str(a.out), "share": a.share}))


if __name__ == "__main__":
    main()

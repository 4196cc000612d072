"""Train a small GCN on N-UCLA, cameras 1 and 2 against 3: python train_gcn.py RELEASE [EPOCHS]."""

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader

from posedata.torch import ClipDataset, whole_batch
from posedata.transforms import Centre, ResizeInTime, Rotate, ViewNormalise, parents_of


class Block(nn.Module):
    def __init__(self, before, after, stride, edges):
        super().__init__()
        self.edges = nn.Parameter(edges.clone())  # (3, V, V): itself, its parent, its children
        self.space = nn.Conv2d(before, 3 * after, 1)
        self.past = nn.Conv2d(before, after, 1, (stride, 1))
        along = nn.Conv2d(after, after, (9, 1), (stride, 1), (4, 0), groups=after)
        self.time = nn.Sequential(nn.BatchNorm2d(after), nn.ReLU(), along, nn.BatchNorm2d(after))

    def forward(self, x):  # (N, C, T, V)
        mixed = torch.einsum("nkctv,kvw->nctw", self.space(x).unflatten(1, (3, -1)), self.edges)
        return torch.relu(self.time(mixed) + self.past(x))


class SmallGcn(nn.Sequential):
    def __init__(self, skeleton, num_classes):
        self.parents = [p if p >= 0 else i for i, p in enumerate(parents_of(skeleton))]
        own = torch.eye(len(self.parents))
        edges = torch.stack([own, own[self.parents], own[self.parents].T])
        shapes = [(9, 32, 1), (32, 32, 1), (32, 64, 2), (64, 64, 1)]
        blocks = [Block(*shape, edges) for shape in shapes]
        ends = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, num_classes)]
        super().__init__(nn.BatchNorm2d(9), *blocks, *ends)

    def forward(self, x):  # (N, 3, T, V, 1): joints, with their bones and motion
        x = x[..., 0]
        motion = x.diff(dim=2, append=x[:, :, -1:])
        return super().forward(torch.cat([x, x - x[..., self.parents], motion], 1))


def main(release, epochs=40):
    torch.manual_seed(0)
    view = [Centre(frames="first"), ViewNormalise()]
    crop = [ResizeInTime(32, p_interval=(0.5, 1.0), shortest=16), *view, Rotate((20, 20, 40))]
    data = {"release": release, "protocol": "xview3", "num_persons": 1}
    train = ClipDataset(**data, split="train", transforms=crop)
    test = ClipDataset(**data, split="test", transforms=[ResizeInTime(32), *view])
    loader = DataLoader(train, 32, shuffle=True, drop_last=True, collate_fn=whole_batch)
    model = SmallGcn(train.skeleton, train.num_classes).train()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, epochs * len(loader))
    for epoch in range(epochs):
        train.set_epoch(epoch)
        for batch in loader:
            optimizer.zero_grad()
            scores = model(batch["keypoints"])
            nn.functional.cross_entropy(scores, batch["label"], label_smoothing=0.1).backward()
            optimizer.step()
            schedule.step()
    model.eval().requires_grad_(False)
    right = [model(b["keypoints"]).argmax(1) == b["label"] for b in DataLoader(test, 64)]
    return torch.cat(right).double().mean().item()


if __name__ == "__main__":
    print(f"{main(sys.argv[1], *map(int, sys.argv[2:])):.1%} of the test clips are right")

"""Makes the files beside it, with PyTorch 2.9: python tests/torch_files/make.py

The first values of every tensor are what tests/torch_files/mod.rs expects.
"""

import pathlib
import warnings

import torch

HERE = pathlib.Path(__file__).parent
warnings.simplefilter("ignore")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(2, 1)

    def forward(self, x):
        return self.fc(x)


def values(*shape):
    """0.0, 0.5, 1.0, ...: each type has them exactly."""
    return torch.arange(torch.Size(shape).numel()).reshape(shape) / 2


def of_all_kinds():
    shared = values(10)
    return {
        "fc.f32": values(2, 3),
        "fc.f64": values(2, 3).double(),
        "fc.f16": values(2, 3).half(),
        "fc.bf16": values(2, 3).bfloat16(),
        "fc.transposed": values(3, 2).t(),
        "fc.channels_last": values(2, 3, 2, 2).contiguous(memory_format=torch.channels_last),
        "fc.every_second": shared[1::2],
        "fc.part": shared[4:7],
        "fc.parameter": torch.nn.Parameter(values(2)),
        "fc.scalar": torch.tensor(1.5),
        "fc.empty": torch.zeros(0, 3),
        "bn.running_mean": values(2),
        "bn.num_batches_tracked": torch.tensor(7),
        "fc.mask": torch.tensor([True, False]),
        "fc.u16": torch.tensor([1, 2], dtype=torch.uint16),
    }


def save(name, what, **how):
    torch.save(what, HERE / name, **how)


legacy = {"_use_new_zipfile_serialization": False}
kinds = of_all_kinds()
save("kinds.pth", kinds)
save("kinds-protocol4.pth", kinds, pickle_protocol=4)
del kinds["fc.u16"]  # there was none
save("kinds-legacy.pth", kinds, **legacy)

net = Net()
net.load_state_dict({"fc.weight": values(1, 2), "fc.bias": values(1)})
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
net(values(1, 2)).sum().backward()
optimizer.step()
net.load_state_dict({"fc.weight": values(1, 2), "fc.bias": values(1)})
prefixed = lambda prefix: {prefix + name: value for name, value in net.state_dict().items()}
save("lightning.ckpt", {
    "epoch": 3, "global_step": 2**70, "pytorch-lightning_version": "2.5",
    "state_dict": prefixed("model."), "optimizer_states": [optimizer.state_dict()],
    "hyper_parameters": {"device": torch.device("cpu"), "lr": 0.1},
    "best": torch.tensor(0.5), "path": HERE.relative_to(HERE),
})
save("parallel.pth", {"model": prefixed("module."), "optimizer": optimizer.state_dict(),
                      "ema": prefixed("ema.")})
save("compiled.pth", {"model_state_dict": prefixed("_orig_mod."), "loss": 0.5},
     pickle_protocol=4, **legacy)
save("net.pth", {"net": net.state_dict(), "acc": 93.5, "epoch": 200})

save("model.pth", net)
save("model-legacy.pth", net, **legacy)
save("model-inside.pth", {"model": net, "epoch": 3})
torch.jit.script(torch.nn.ReLU()).save(HERE / "script.pt")
save("several.pth", {"generator": prefixed(""), "discriminator": prefixed("")})
save("list.pth", [values(2)])
save("nothing.pth", {"epoch": 3, "lr": 0.1})
save("expanded.pth", {"fc.weight": torch.ones(1).expand(4), "fc.bias": values(1)})
save("complex.pth", {"fc.weight": torch.ones(2, dtype=torch.complex64)})
save("float8.pth", {"fc.weight": torch.ones(2).to(torch.float8_e4m3fn)})
save("sparse.pth", {"fc.weight": torch.eye(2).to_sparse()})

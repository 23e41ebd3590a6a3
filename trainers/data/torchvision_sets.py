"""Data sets that torchvision fetches."""

from typing import Any

from trainers.data.sources import Images, ImageSource
from trainers.files import cache_folder, key_of


def mnist() -> ImageSource:
    """60,000 grey digits of 28x28 (LeCun et al. 1998), torchvision's training split."""
    return _from_torchvision("mnist", "MNIST", train=True)


def fashion_mnist() -> ImageSource:
    """60,000 grey pictures of clothes, 28x28 (Xiao et al. 2017), torchvision's training split."""
    return _from_torchvision("fashion_mnist", "FashionMNIST", train=True)


def cifar10() -> ImageSource:
    """50,000 colour images of 32x32 in ten classes (Krizhevsky 2009), torchvision's training split."""
    return _from_torchvision("cifar10", "CIFAR10", train=True)


def cifar100() -> ImageSource:
    """50,000 colour images of 32x32 in a hundred classes (Krizhevsky 2009), torchvision's training split."""
    return _from_torchvision("cifar100", "CIFAR100", train=True)


def stl10() -> ImageSource:
    """105,000 colour images of 96x96 (Coates, Ng, Lee 2011), the training split and then the unlabelled images, all of
    one class. GAN papers use it at a resolution of 48. Decoding takes about 6 GB of memory, once."""
    return _from_torchvision("stl10", "STL10", split="train+unlabeled")


def _from_torchvision(name: str, kind: str, **split: Any) -> ImageSource:
    """A split of a torchvision data set, downloaded to the cache folder unless it is there."""

    def read() -> Images:
        from torchvision import datasets

        root = cache_folder() / "torchvision"
        try:
            data = getattr(datasets, kind)(root, download=True, **split)
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"dataset = {name!r}: torchvision could not fetch {kind} into {root} ({' '.join(str(error).split())}); "
                f"a local copy of the images can be given as folder:PATH or zip:PATH"
            ) from error
        names = [f"{index}" for index in range(len(data))]
        labelled = hasattr(data, "targets")  # STL-10 is not
        labels = list(map(int, data.targets)) if labelled else [0] * len(data)
        return Images(names, labels, list(data.classes) if labelled else [], lambda index: data[index][0])

    content = key_of("torchvision", kind)  # nothing is fetched to know it
    return ImageSource(name, lambda _: content, read)

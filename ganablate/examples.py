"""Two examples of each command, below its help; the commands in the order in which they are met."""

EXAMPLES = {
    "list": ("ganablate list", "ganablate list losses features"),
    "data": (
        "ganablate data digits --out digits.png",
        "ganablate data folder:photos --set resolution=64 --out seen.png",
    ),
    "plan": ("ganablate plan quick", "ganablate plan quick --seeds 10 --detect 0.7"),
    "run": ("ganablate run quick", "ganablate run images --set dataset=folder:photos --budget 0.1"),
    "status": ("ganablate status quick", "ganablate status quick --seeds 10"),
    "stop": ("ganablate stop quick", "ganablate stop quick --seeds 10 --storage /shared/runs"),
    "score": (
        "ganablate score quick --features lite0 --metrics fid,precision,recall",
        "ganablate score quick --features digits --which best --samples 10000",
    ),
    "search": (
        "ganablate search ring8_coop_aw --samples 24",
        "ganablate search digits_gan digits_aw --samples 30 --space optimizer --scheduler none",
    ),
    "report": (
        "ganablate report quick",
        "ganablate report quick --seeds 10 --metrics fid_final,fid@lite0 --html",
    ),
    "why": ("ganablate why quick '+ both'", "ganablate why coop-x-aw GAN StyleGAN2 --seeds 1"),
    "claims": ("ganablate claims", "ganablate claims C1 --json"),
    "ui": ("ganablate ui", "ganablate ui --storage /shared/runs --port 5001"),
    "sample": (
        "ganablate sample quick GAN --out grid.png",
        "ganablate sample quick '+ both' --out walk.png --interpolate --n 32 --seed 1",
    ),
    "export": (
        "ganablate export quick GAN --out generator",
        "ganablate export quick '+ both' --out generator --which best --seed 1",
    ),
    "train": (
        "ganablate train ring8_gan --budget 0.01 --out runs/one",
        "ganablate train quick --job 3 --out made/3",
    ),
    "import": (
        "ganablate import made",
        "ganablate import csv:results.csv --study bench --metric eval/fid:lower:ratio",
    ),
    "clean": ("ganablate clean", "ganablate clean caches --yes"),
    "doctor": ("ganablate doctor", "ganablate doctor --storage /shared/runs"),
}

#!/usr/bin/env python3
"""Times `confvault import oxidized` beside `git fast-export | git fast-import` on the same repository, in the same run.

    cargo build --release --bin confvault
    python3 tests/bench/import.py [--devices 1000] [--states 30] [--lines 1000]

The repository has the shape of Oxidized's: one flat folder, one commit for each state of a device, so every commit has a
tree of all names. Figures are CPU seconds (user and system, with all children), the peak memory of the largest process, and of
confvault what of that is no mapped file.
Everything is written below a temporary folder and removed.
"""
import argparse, os, random, shutil, subprocess, tempfile, threading, time

from peers import OURS, run, size_of


def own(command):
    """Runs confvault; gives the figures of `run`, and the peak of its memory without mapped files in MiB."""
    peak, done = [0], threading.Event()

    def watch():
        while not done.wait(0.05):
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    if os.readlink(f"/proc/{pid}/exe") == os.path.realpath(OURS):
                        with open(f"/proc/{pid}/status") as status:
                            size = [line.split()[1] for line in status if line.startswith("RssAnon")]
                        peak[0] = max(peak[0], int(size[0]) // 1024)
                except (OSError, IndexError):
                    pass

    watcher = threading.Thread(target=watch)
    watcher.start()
    figures = run(command)
    done.set()
    watcher.join()
    return figures, peak[0]


def text(device, state, lines):
    """A configuration in which a few lines differ from state to state."""
    rng = random.Random(device)
    out = ["! Cisco IOS Software, C2900 Software (C2900-UNIVERSALK9-M), Version 15.7(3)M6, RELEASE SOFTWARE (fc3)", "! ",
           "version 15.7", f"hostname r{device:05}", "!", f"enable secret 5 $1$salt$e{device:05}hash", "!"]
    for n in range(lines // 8):
        out += [f"interface GigabitEthernet0/{n}", f" description link {rng.randrange(10**6)} to r{rng.randrange(1000):05}",
                f" ip address 10.{rng.randrange(256)}.{rng.randrange(256)}.1 255.255.255.0", "!",
                f"dial-peer voice {n} voip", f" destination-pattern {rng.randrange(10**6)}....",
                f" authentication username u{n} password 7 {rng.randrange(16**14):014X}", "!"]
    for n in range(state):
        out[8 + 8 * (n * 7 % (lines // 8))] = f" description changed in state {n}"
    out.append(f"ntp clock-period {17180000 + state}")
    return "\n".join(out + ["end", ""])


def repository(path, devices, states, lines):
    subprocess.run(["git", "init", "-q", "--bare", "-b", "master", path], check=True)
    git = subprocess.Popen(["git", "fast-import", "--quiet"], cwd=path, stdin=subprocess.PIPE)
    time, write = 1_600_000_000, git.stdin.write
    for state in range(states):
        for device in range(devices):
            time += 60
            blob = text(device, state, lines).encode()
            write(b"commit refs/heads/master\nauthor Oxidized <o@example.org> %d +0000\ncommitter Oxidized <o@example.org> %d +0000\n"
                  b"data 6\nupdate\nM 100644 inline r%05d\ndata %d\n%s\n" % (time, time, device, len(blob), blob))
    git.stdin.close()
    assert git.wait() == 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--states", type=int, default=30)
    parser.add_argument("--lines", type=int, default=1000)
    args = parser.parse_args()
    base = tempfile.mkdtemp(prefix="confvault-import-")
    try:
        repo, states = os.path.join(base, "repo.git"), args.devices * args.states
        repository(repo, args.devices, args.states, args.lines)
        raw = len(text(0, 0, args.lines))
        print(f"{states} states of {args.devices} devices, {raw} bytes each; repository {size_of(repo)[0] / 1e6:.0f} MB")

        def say(what, figures, each=states):
            cpu, wall, peak = figures
            print(f"{what:<44} CPU {cpu:8.1f} s  {1000 * cpu / each:7.3f} ms a state  wall {wall:7.1f} s  peak {peak:6.0f} MiB")
            return cpu

        copy = os.path.join(base, "copy.git")
        subprocess.run(["git", "init", "-q", "--bare", copy], check=True)
        git = say("git fast-export | git fast-import", run(f"git -C {repo} fast-export --all | git -C {copy} fast-import --quiet"))
        for name, more in [("secrets in clear", ["--no-sealing"]), ("sealing", [])]:
            store = os.path.join(base, name.replace(" ", "-"))
            subprocess.run([OURS, "-q", "init", store, "--collector", "bench", *more], check=True, stdout=subprocess.DEVNULL)
            command = [OURS, "-C", store, "-q", "import", "oxidized", repo, "--profile", "cisco-ios"]
            figures, memory = own(command)
            ours = say(f"confvault import, {name}", figures)
            packs = [f for f in os.listdir(f"{store}/store.git/objects/pack") if f.endswith(".pack")]
            size, files = size_of(f"{store}/store.git")
            print(f"{'':<44} {ours / git:.2f} of git; {len(packs)} packs, {files} files, {size / 1e6:.0f} MB; {memory} MiB of own memory")
            say(f"  again, nothing new, {name}", run(command))
            say(f"  maintain, {name}", run([OURS, "-C", store, "-q", "maintain"]))
            print(f"{'':<44} {size_of(f'{store}/store.git')[0] / 1e6:.0f} MB")
    finally:
        shutil.rmtree(base)


main()

#!/usr/bin/env python3
"""Times confvault collecting a fleet over SSH, beside a bare loop, Nornir with NAPALM, and RANCID, in the same run.

    cargo build --release --bin confvault --example ssh_floor
    python3 tests/bench/collect.py --port 2222 --control 2223 [--devices 1000] [--jobs 200] [--sealing]
        [--slow-port 2232] [--nornir PYTHON] [--rancid] [--sweep 16 32 64 128]

It needs a fleet of simulated gateways that speak like Cisco IOS, all on one address:

- SSH on --host (127.0.0.1) and --port; the user chooses the device: r00000, r00001, …, all with one password (--password);
  the prompt is the user's name with `#`, and a device answers `show version` and `show running-config`;
- for RANCID also one address a device, 127.1.(i/250).(i%250+1), on the same port;
- on --control a port that takes one line a connection: `fault I KIND` with the kinds of FAULTS below, `round N` (in each
  round another tenth of the devices has one changed line), `reset`;
- with --slow-port the same fleet again, in which every log-in takes --latency seconds.

With --sweep a run in which nothing changed is also timed with each of these numbers of jobs, with --slow-port there, too, once.

Figures are CPU seconds (user and system, of the process and all its children), the same per device, and the peak memory of
the largest process. RANCID and Nornir run over --peer-devices devices. Everything is written below a temporary folder and
removed.
"""
import argparse, json, os, re, shutil, socket, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
OURS = os.path.join(TARGET, "release", "confvault")
FLOOR = os.path.join(TARGET, "release", "examples", "ssh_floor")
FAULTS = ["truncate", "truncclose", "empty", "errline", "hang", "close", "authfail", "truncate"]

# The files of the two commands that the bare loop sends: the profile "reduced" is cisco-ios with nothing beside them.
OF_THE_LOOP = ["show-version.txt", "running-config"]


def reduced(text):
    """The text of cisco-ios under another name, without the commands that the bare loop does not send."""
    blocks = re.split(r"\n(?=\[)", text)
    path = lambda block: re.search(r'^path = "(.*)"', block, re.M).group(1)
    kept = [b for b in blocks if not b.startswith("[[command]]") or path(b) in OF_THE_LOOP]
    return "\n".join(kept).replace('name = "cisco-ios"', 'name = "reduced"', 1)


NORNIR = """
import os, sys, logging
from nornir.core import Nornir
from nornir.core.inventory import Inventory, Hosts, Host, Groups, Defaults, ConnectionOptions
from nornir.core.plugins.connections import ConnectionPluginRegister
from nornir.core.plugins.runners import RunnersPluginRegister
from nornir.plugins.runners import ThreadedRunner
from nornir_napalm.plugins.tasks import napalm_get
logging.disable(logging.CRITICAL)
host, port, password, count, jobs, folder = sys.argv[1:]
ConnectionPluginRegister.auto_register()
def one(i):
    name = f"r{i:05}"
    options = {"napalm": ConnectionOptions(extras={"timeout": 20, "optional_args": {"port": int(port), "secret": password}})}
    return Host(name=name, hostname=host, username=name, password=password, platform="ios", connection_options=options)
hosts = Hosts({f"r{i:05}": one(i) for i in range(int(count))})
nornir = Nornir(inventory=Inventory(hosts=hosts, groups=Groups(), defaults=Defaults()), runner=ThreadedRunner(num_workers=int(jobs)))
def backup(task):
    text = task.run(napalm_get, getters=["config"], getters_options={"config": {"retrieve": "running"}}).result["config"]["running"]
    with open(os.path.join(folder, task.host.name), "w") as out:
        out.write(text)
result = nornir.run(backup)
sys.exit(1 if result.failed else 0)
"""


def run(command, cwd=None, env=None, accept=(0,)):
    """Runs a command; gives (CPU s, wall s, peak MiB, what it printed)."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        child = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - start
        out.seek(0)
        err.seek(0)
        if child.returncode not in accept:
            sys.exit(f"{' '.join(command)[:300]}: exit {child.returncode}\n{err.read().decode(errors='replace')[-2000:]}")
        return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, out.read()


class Fleet:
    def __init__(self, args):
        self.args = args

    def tell(self, *words):
        with socket.create_connection((self.args.host, self.args.control)) as connection:
            connection.sendall((" ".join(map(str, words)) + "\n").encode())
            connection.shutdown(socket.SHUT_WR)
            return connection.makefile().read()


class Store:
    """A store with all devices of the fleet, under one profile."""

    def __init__(self, base, args, profile, sealing, port=None):
        name = f"{profile}{'-sealing' if sealing else ''}{'-slow' if port else ''}"
        self.dir, self.args = os.path.join(base, name), args
        self.env = {**os.environ, "HOME": base, "BENCH_PASSWORD": args.password}
        self.call("init", self.dir, "--collector", "bench", *([] if sealing else ["--no-sealing"]), bare=True)
        os.makedirs(os.path.join(self.dir, "profiles"), exist_ok=True)
        # Read before the file is there: every command reads all profiles, and an empty one is none.
        text = reduced(self.call("profile", "show", "cisco-ios")[3].decode())
        with open(os.path.join(self.dir, "profiles", "reduced.toml"), "w") as out:
            out.write(text)
        listed = os.path.join(base, f"{name}.csv")
        with open(listed, "w") as out:
            out.write("name,source,profile\n")
            for i in range(args.devices):
                out.write(f"r{i:05},ssh://r{i:05}@{args.host}:{port or args.port},{profile}\n")
        self.call("device", "import", listed, "--credential", "env:BENCH_PASSWORD")
        self.trust = self.call("device", "trust", "--all", "--accept-new")

    def call(self, *arguments, accept=(0,), bare=False):
        return run([OURS, *([] if bare else ["-C", self.dir]), *arguments], env=self.env, accept=accept)

    def snapshot(self, jobs=None, accept=(0,)):
        cpu, wall, peak, out = self.call("snapshot", "--json", "--jobs", str(jobs or self.args.jobs), accept=accept)
        return cpu, wall, peak, json.loads(out)


class Rancid:
    def __init__(self, base, args):
        self.base, self.args = os.path.join(base, "rancid"), args
        var, logs = os.path.join(self.base, "var"), os.path.join(self.base, "logs")
        os.makedirs(logs)
        os.makedirs(var)
        self.conf = os.path.join(self.base, "rancid.conf")
        with open(self.conf, "w") as out:
            out.write(
                f"TERM=network; export TERM\numask 027\nTMPDIR={self.base}; export TMPDIR\nBASEDIR={var}; export BASEDIR\n"
                f"PATH=/usr/lib/rancid/bin:/usr/bin:/usr/sbin:/bin:$PATH; export PATH\nLOGDIR={logs}; export LOGDIR\n"
                f"CVSROOT=$BASEDIR/GIT; export CVSROOT\nRCSSYS=git; export RCSSYS\nACLSORT=NO; export ACLSORT\n"
                f"FILTER_PWDS=NO; export FILTER_PWDS\nNOCOMMSTR=NO; export NOCOMMSTR\nMAX_ROUNDS=1; export MAX_ROUNDS\n"
                f"OLDTIME=24; export OLDTIME\nPAR_COUNT={min(args.jobs, 30)}; export PAR_COUNT\nLIST_OF_GROUPS=lab; export LIST_OF_GROUPS\n"
            )
        # clogin takes one word for the program.
        ssh = os.path.join(self.base, "ssh")
        with open(ssh, "w") as out:
            out.write('#!/bin/sh\nexec ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$@"\n')
        os.chmod(ssh, 0o700)
        with open(os.path.join(self.base, ".cloginrc"), "w") as out:
            out.write(
                f"add method * {{ssh:{args.port}}}\nadd user * lab\nadd password * {args.password} {args.password}\nadd autoenable * 1\n"
                f"add sshcmd * {{{ssh}}}\n"
            )
        os.chmod(os.path.join(self.base, ".cloginrc"), 0o600)
        self.env = {**os.environ, "HOME": self.base, "GIT_AUTHOR_NAME": "b", "GIT_AUTHOR_EMAIL": "b@b",
                    "GIT_COMMITTER_NAME": "b", "GIT_COMMITTER_EMAIL": "b@b", "LOGNAME": "bench", "USER": "bench"}
        self.program = shutil.which("rancid-cvs") or "/usr/lib/rancid/bin/rancid-cvs"
        self.run_program = shutil.which("rancid-run") or "/usr/lib/rancid/bin/rancid-run"
        run([self.program, "-f", self.conf], env=self.env, accept=(0, 1))
        with open(os.path.join(var, "lab", "router.db"), "w") as out:
            for i in range(args.peer_devices):
                out.write(f"127.1.{i // 250}.{i % 250 + 1};cisco;up\n")

    def snapshot(self):
        return run([self.run_program, "-f", self.conf], env=self.env, accept=(0, 1))

    def collected(self):
        folder = os.path.join(self.base, "var", "lab", "configs")
        return sum(1 for name in os.listdir(folder) if not name.startswith(".") and os.path.getsize(os.path.join(folder, name)) > 5000)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=2222)
    parser.add_argument("--control", type=int, default=2223)
    parser.add_argument("--password", default="lab")
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=3, help="repeats of what can be repeated (default 3)")
    parser.add_argument("--sealing", action="store_true", help="also stores with sealing")
    parser.add_argument("--slow-port", type=int, help="the same fleet with latency")
    parser.add_argument("--latency", type=float, default=2.0, help="seconds of it (default 2)")
    parser.add_argument("--nornir", metavar="PYTHON", help="a Python that has nornir and nornir-napalm")
    parser.add_argument("--rancid", action="store_true", help="run RANCID, which must be installed")
    parser.add_argument("--sweep", type=int, nargs="+", default=[], metavar="JOBS", help="numbers of jobs to time, too")
    parser.add_argument("--peer-devices", type=int, default=50, help="devices for Nornir and RANCID (default 50)")
    args = parser.parse_args()
    base = tempfile.mkdtemp(prefix="confvault-bench-")
    fleet = Fleet(args)
    rows = []

    def row(what, figures, devices, floor=None):
        cpu = statistics.median(f[0] for f in figures)
        wall, peak = min(f[1] for f in figures), max(f[2] for f in figures)
        rows.append((what, cpu / devices * 1000, wall, peak, cpu / devices / floor if floor else None))

    def sweep(store, what, turns):
        """Nothing has changed; the number of jobs does. All numbers take turns."""
        runs = {jobs: [] for jobs in args.sweep}
        for _ in range(turns):
            for jobs in args.sweep:
                again = store.snapshot(jobs)
                assert again[3]["unchanged_count"] == args.devices, again[3]
                runs[jobs].append(again)
        for jobs in args.sweep:
            row(f"{what}, {jobs} jobs", runs[jobs], args.devices)

    try:
        fleet.tell("reset")
        stores = [Store(base, args, p, s) for p in ("reduced", "cisco-ios") for s in ([False, True] if args.sealing else [False])]
        names = [os.path.basename(store.dir) for store in stores]
        # The loop and the stores take turns, so that what else the machine does hits all alike.
        floors, firsts, same, tenth = [], [], {n: [] for n in names}, {n: [] for n in names}
        for name, store in zip(names, stores):
            floors.append(run([FLOOR, args.host, str(args.port), args.password, str(args.devices), str(args.jobs)]))
            first = store.snapshot()
            assert first[3]["new_count"] == args.devices, first[3]
            firsts.append((name, first))
        for turn in range(args.repeat):
            floors.append(run([FLOOR, args.host, str(args.port), args.password, str(args.devices), str(args.jobs)]))
            for name, store in zip(names, stores):
                again = store.snapshot()
                assert again[3]["unchanged_count"] == args.devices, again[3]
                same[name].append(again)
        sweep(stores[0], f"{names[0]}: nothing changed", args.repeat)
        fleet.tell("round", 1)
        for name, store in zip(names, stores):
            changed = store.snapshot()
            assert changed[3]["new_count"] == len(range(args.devices)) // 10, changed[3]
            tenth[name].append(changed)
        fleet.tell("round", 0)
        floor = statistics.median(f[0] for f in floors) / args.devices
        row("bare loop", floors, args.devices)
        for name, first in firsts:
            row(f"{name}: first run", [first], args.devices, floor)
            row(f"{name}: nothing changed", same[name], args.devices, floor)
            row(f"{name}: a tenth changed", tenth[name], args.devices, floor)
        for name, store in zip(names, stores):
            row(f"{name}: trust --all", [store.trust], args.devices)

        # Eight faults: nothing of those devices is stored, each is named, the others are as they were.
        store = stores[0]
        broken = {i * (args.devices // 8) + 3: kind for i, kind in enumerate(FAULTS)}
        for device, kind in broken.items():
            fleet.tell("fault", device, kind)
        cpu, wall, peak, document = store.snapshot(accept=(3,))
        failed = {d["device"]: d["reason"] for d in document["devices"] if d["outcome"] == "failed"}
        assert set(failed) == {f"r{i:05}" for i in broken}, failed
        row(f"{names[0]}: eight faults", [(cpu, wall, peak)], args.devices, floor)
        for device, kind in broken.items():
            fleet.tell("fault", device, "none")
            print(f"{kind}: {failed[f'r{device:05}']}")

        if args.slow_port:
            slow = Store(base, args, "reduced", False, args.slow_port)
            one = slow.call("snapshot", "r00000", "--jobs", "1")
            all_of_them = slow.snapshot()
            assert all_of_them[3]["failed_count"] == 0, all_of_them[3]
            allowed = 1.2 * args.devices / args.jobs * one[1]
            row(f"reduced: {args.latency:g} s latency, one device", [one], 1)
            row(f"reduced: {args.latency:g} s latency, all (at most {allowed:.1f} s)", [all_of_them], args.devices)
            sweep(slow, f"reduced: {args.latency:g} s latency, nothing changed", 1)

        if args.nornir:
            folder = os.path.join(base, "by-nornir")
            os.makedirs(folder)
            # Not nornir.py: a script's own folder comes first where Python looks for modules.
            script = os.path.join(base, "with-nornir.py")
            with open(script, "w") as out:
                out.write(NORNIR)
            git = ["git", "-c", "user.name=b", "-c", "user.email=b@b", "-C", folder]
            run(["git", "init", "-q", folder])
            for what in ("first run", "again"):
                arguments = [args.host, str(args.port), args.password, str(args.peer_devices), str(min(args.jobs, 30)), folder]
                cpu, wall, peak, _ = run([args.nornir, script, *arguments])
                for command in (["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "s"]):
                    more = run([*git, *command])
                    cpu, wall = cpu + more[0], wall + more[1]
                row(f"Nornir with NAPALM ({args.peer_devices} devices): {what}", [(cpu, wall, peak)], args.peer_devices, floor)
        if args.rancid:
            rancid = Rancid(base, args)
            for what in ("first run", "again"):
                figures = rancid.snapshot()
                assert rancid.collected() == args.peer_devices, f"RANCID has {rancid.collected()} configurations"
                row(f"RANCID ({args.peer_devices} devices): {what}", [figures], args.peer_devices, floor)
    finally:
        fleet.tell("reset")
        shutil.rmtree(base, ignore_errors=True)
    print(f"\n{args.devices} devices, {args.jobs} jobs; load {os.getloadavg()[0]:.1f}")
    print("| what | CPU a device, ms | wall, s | peak, MiB | against the loop |\n|---|---|---|---|---|")
    for what, cpu, wall, peak, ratio in rows:
        print(f"| {what} | {cpu:.2f} | {wall:.1f} | {peak:.0f} | {f'{ratio:.2f}' if ratio else ''} |")


if __name__ == "__main__":
    main()

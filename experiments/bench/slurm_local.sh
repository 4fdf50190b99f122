#!/usr/bin/env bash
# Runs a command in a Slurm cluster of two nodes, both on this machine:
#
#   apt-get install -y slurm-wlm munge
#   experiments/bench/slurm_local.sh DIR COMMAND...
#
# DIR gets configuration, logs and state; it has to be new or of an earlier
# cluster. Run as root: the nodes' names, sclc-1 and sclc-2, go into /etc/hosts.
# Each node says that it has 8 CPUs and 8 GPUs, whatever the machine has, so
# that the headers of experiments/launch/*.sbatch can be kept. A job that has
# been requeued waits for some seconds instead of two minutes.
set -euo pipefail

mkdir -p "${1:?folder of the cluster}"
dir=$(cd "$1" && pwd)
shift
mkdir -p "$dir"/{state,spool,log}
export SLURM_CONF=$dir/slurm.conf
host=$(hostname -s)

getent hosts sclc-2 >/dev/null || echo "127.0.0.1 sclc-1 sclc-2" >>/etc/hosts

cat >"$dir/slurm.conf" <<END
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=27817
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/%n.pid
SlurmctldLogFile=$dir/log/slurmctld
SlurmdLogFile=$dir/log/%n
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2
MpiDefault=none
ReturnToService=2
KillWait=10
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=sclc-1 NodeHostname=$host NodeAddr=127.0.0.1 Port=27818 CPUs=8 Gres=gpu:8
NodeName=sclc-2 NodeHostname=$host NodeAddr=127.0.0.1 Port=27819 CPUs=8 Gres=gpu:8
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE OverSubscribe=FORCE:8
END
echo "Name=gpu File=/dev/tty[0-7]" >"$dir/gres.conf"
echo "CgroupAutomount=no" >"$dir/cgroup.conf"
rm -f "$dir/munge.key"
head -c 128 /dev/urandom >"$dir/munge.key"
chmod 400 "$dir/munge.key"

processes=()
stop() {
  scancel --user="$(id -un)" 2>/dev/null || true
  kill "${processes[@]}" 2>/dev/null || true
  wait
}
trap stop EXIT
start() {
  "$@" &
  processes+=($!)
}
start munged --foreground --force --key-file="$dir/munge.key" \
  --socket="$dir/munge.socket" --pid-file="$dir/munge.pid" \
  --seed-file="$dir/munge.seed" --log-file="$dir/log/munge" 2>"$dir/log/start"
start slurmctld -D -c 2>>"$dir/log/start"
start slurmd -D -N sclc-1 2>>"$dir/log/start"
start slurmd -D -N sclc-2 2>>"$dir/log/start"
for _ in $(seq 60); do
  [ "$(sinfo --noheader --states=idle --format=%D 2>/dev/null)" = 2 ] && break
  sleep 1
done
"$@"

#!/bin/sh
# Writes cassandra.yaml from the variables that the hub's image knows too, then starts what it was asked to.
set -eu

if [ "$1" = cassandra ]; then
  own=$(hostname -i 2>/dev/null | cut -d ' ' -f 1)
  listen=${CASSANDRA_LISTEN_ADDRESS:-auto}
  if [ "$listen" = auto ]; then listen=${own:-127.0.0.1}; fi
  broadcast=${CASSANDRA_BROADCAST_ADDRESS:-$listen}
  data=/var/lib/cassandra
  mkdir -p "$data/tmp"
  cat > "$data/cassandra.yaml" <<YAML
cluster_name: ${CASSANDRA_CLUSTER_NAME:-Test Cluster}
num_tokens: ${CASSANDRA_NUM_TOKENS:-16}
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
data_file_directories: [$data/data]
commitlog_directory: $data/commitlog
saved_caches_directory: $data/saved_caches
hints_directory: $data/hints
cdc_raw_directory: $data/cdc_raw
commitlog_sync: periodic
commitlog_sync_period: 10s
seed_provider: [{class_name: org.apache.cassandra.locator.SimpleSeedProvider, parameters: [{seeds: "${CASSANDRA_SEEDS:-$broadcast}"}]}]
listen_address: $listen
broadcast_address: $broadcast
rpc_address: ${CASSANDRA_RPC_ADDRESS:-0.0.0.0}
broadcast_rpc_address: ${CASSANDRA_BROADCAST_RPC_ADDRESS:-$broadcast}
endpoint_snitch: ${CASSANDRA_ENDPOINT_SNITCH:-SimpleSnitch}
YAML
fi
exec "$@"

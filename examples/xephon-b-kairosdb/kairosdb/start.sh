#!/bin/sh
# KairosDB on Cassandra at CASSANDRA_HOSTS. Its own reporter is off: the points counted are the points that were sent.
set -eu
cat > benchhub.properties <<P
kairosdb.service.datastore=org.kairosdb.datastore.cassandra.CassandraModule
kairosdb.service.reporter=<disabled>
kairosdb.datastore.cassandra.cql_host_list=${CASSANDRA_HOSTS:-localhost}
kairosdb.jetty.port=${KAIROSDB_PORT:-8080}
P
exec java "-Xms${MAX_HEAP_SIZE:-256m}" "-Xmx${MAX_HEAP_SIZE:-256m}" -Dlogback.configurationFile=/opt/kairosdb/conf/logback.xml \
  ${JVM_EXTRA_OPTS:-} \
  --add-opens java.base/java.lang=ALL-UNNAMED --add-opens java.base/java.nio=ALL-UNNAMED --add-opens java.base/sun.nio.ch=ALL-UNNAMED \
  -cp '/opt/kairosdb/conf:/opt/kairosdb/lib/*' org.kairosdb.core.Main -c run -p benchhub.properties

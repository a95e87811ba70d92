-- sysbench's own oltp_insert, with its result as one line of JSON. sysbench counts in seconds.
package.path = "/usr/share/sysbench/?.lua;" .. package.path
require("oltp_insert")
function sysbench.hooks.report_cumulative(stat)
  print(string.format('{"events": %d, "tps": %.1f, "p95_ms": %.3f, "errors": %d}',
    stat.events, stat.events / stat.time_total, stat.latency_pct * 1000, stat.errors))
end

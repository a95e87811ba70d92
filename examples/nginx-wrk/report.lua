-- The result as the last line, in JSON; wrk counts in microseconds.
function done(summary, latency)
  local e = summary.errors
  print(string.format('\n{"requests_per_second": %.1f, "p99_ms": %.3f, "errors": %d}',
    summary.requests / (summary.duration / 1e6), latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end

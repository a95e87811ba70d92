// Xephon-B's workload by k6: each worker posts batches of SERIES x POINTS data points to KairosDB until the time is over.
// Every point has an instant of its own in its series, so the database keeps as many as it was sent.
import http from 'k6/http';
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';

const series = Number(__ENV.SERIES);
const points = Number(__ENV.POINTS);
const url = `http://${__ENV.TARGET}/api/v1/datapoints`;
const written = new Counter('written');
const failed = new Counter('failed');

export const options = {
  scenarios: {
    load: { executor: 'constant-vus', vus: Number(__ENV.WORKERS), duration: `${__ENV.SECONDS}s`, gracefulStop: '30s' },
  },
  discardResponseBodies: true,
  summaryTrendStats: ['avg', 'min', 'max'],
};

const began = Date.now();

export default function () {
  const first = began + exec.vu.iterationInScenario * points;
  const batch = [];
  for (let number = 0; number < series; number++) {
    const datapoints = [];
    for (let point = 0; point < points; point++) datapoints.push([first + point, 12.3]);
    batch.push({ name: `${__ENV.PREFIX}${number}`, tags: { worker: String(exec.vu.idInTest) }, datapoints });
  }
  const answer = http.post(url, JSON.stringify(batch), { headers: { 'Content-Type': 'application/json' } });
  if (answer.status === 204) written.add(series * points);
  else failed.add(1);
}

// The names and units that Xephon-B prints: times in nanoseconds.
export function handleSummary(data) {
  const count = (name) => (data.metrics[name] ? data.metrics[name].values.count : 0);
  const took = data.metrics.http_req_duration ? data.metrics.http_req_duration.values : { avg: 0, min: 0, max: 0 };
  const ns = (milliseconds) => Math.round(milliseconds * 1e6);
  const result = {
    duration: ns(data.state.testRunDurationMs),
    totalPoints: count('written'),
    totalRequests: count('http_reqs'),
    failedRequests: count('failed'),
    avgLatency: ns(took.avg),
    minLatency: ns(took.min),
    maxLatency: ns(took.max),
  };
  return { stdout: `${JSON.stringify(result)}\n` };
}

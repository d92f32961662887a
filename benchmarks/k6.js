// The open loop of k6: posts bodies made beforehand at a constant rate of arrivals, each once, whether earlier answers are there or not.
// benchmarks/k6.py starts it and says in the environment: URL, KEY, BODIES (a file: JSON array of texts), SECONDS, CONNECTIONS.
import http from 'k6/http';
import exec from 'k6/execution';
import { SharedArray } from 'k6/data';
import { Counter, Trend } from 'k6/metrics';

const bodies = new SharedArray('bodies', () => JSON.parse(open(__ENV.BODIES)));
const pauseMs = (Number(__ENV.SECONDS) * 1000) / bodies.length;
const accepted = new Counter('accepted');
const refused = new Counter('refused');
const fromDue = new Trend('from_due', true);
const request = { headers: { Authorization: `Bearer ${__ENV.KEY}`, 'Content-Type': 'application/json' } };

export const options = {
  scenarios: {
    events: {
      executor: 'constant-arrival-rate',
      rate: bodies.length, // within the whole run, so that any rate can be asked for, not only whole requests a second
      timeUnit: `${__ENV.SECONDS}s`,
      duration: `${Number(__ENV.SECONDS) + 1}s`, // ticks that come late still have their second; those beyond the last body do nothing
      preAllocatedVUs: Number(__ENV.CONNECTIONS),
    },
  },
  summaryTrendStats: ['med', 'p(90)', 'p(99)', 'p(99.9)', 'max'],
};

export default function () {
  const number = exec.scenario.iterationInTest;
  if (number >= bodies.length) return;
  const answer = http.post(`${__ENV.URL}/v1/events`, bodies[number], request);
  fromDue.add(Date.now() - exec.scenario.startTime - number * pauseMs); // k6 has no finer clock than milliseconds
  if (answer.status === 202) accepted.add(answer.json('accepted'));
  else refused.add(1);
}

export function handleSummary(data) {
  return { stdout: JSON.stringify(data.metrics) };
}

-- Requests for wrk, one after the other from a file of paths, and what it has measured as one line of JSON.
-- Arguments: the file. Each thread reads it whole; beyond its end it begins anew.

local requests, next_request = {}, 0

function init(arguments)
  wrk.headers['User-Agent'] = 'Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0'
  wrk.headers['Referer'] = 'https://news.example/world'
  for path in io.lines(arguments[1]) do requests[#requests + 1] = wrk.format('GET', path) end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%f,"failed":%d,"p50":%f,"p99":%f,"p999":%f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3))
end

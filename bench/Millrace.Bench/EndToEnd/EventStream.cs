using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Millrace.Bench.EndToEnd;

/// <summary>
/// Listens to <c>/api/events</c> as the page does and notes when each partition's progress was first shown, so that samples of a producer
/// can be matched: the first frame whose next offset passes a record's offset shows its effect.
/// </summary>
internal sealed class EventStream(Uri address, string job) : IAsyncDisposable
{
    private readonly ConcurrentDictionary<int, List<(long NextOffset, long Micros)>> _shown = new();
    private readonly CancellationTokenSource _stop = new();
    private Task _reading = Task.CompletedTask;

    public int Frames { get; private set; }

    public void Start() => _reading = Task.Run(ReadAsync);

    /// <summary>Milliseconds from sending to showing, in order, for every sample sent since then that was shown.</summary>
    public async Task<List<double>> MatchAsync(string samples, DateTimeOffset since)
    {
        var from = (since - DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond;
        await _stop.CancelAsync();
        await _reading;
        var latencies = new List<double>();
        foreach (var line in File.ReadLines(samples))
        {
            var fields = line.Split(' ');
            var partition = int.Parse(fields[0], CultureInfo.InvariantCulture);
            var offset = long.Parse(fields[1], CultureInfo.InvariantCulture);
            var sent = long.Parse(fields[2], CultureInfo.InvariantCulture);
            if (sent < from)
                continue;
            if (!_shown.TryGetValue(partition, out var frames))
                continue;
            var index = frames.BinarySearch((offset, long.MaxValue), Comparer<(long, long)>.Create((a, b) => a.Item1.CompareTo(b.Item1)));
            index = index < 0 ? ~index : index + 1;
            if (index < frames.Count)
                latencies.Add((frames[index].Micros - sent) / 1000.0);
        }
        latencies.Sort();
        return latencies;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _reading;
        _stop.Dispose();
    }

    private async Task ReadAsync()
    {
        using var http = new HttpClient { Timeout = Timeout.InfiniteTimeSpan };
        try
        {
            using var stream = await http.GetStreamAsync(new Uri(address, "/api/events"), _stop.Token);
            using var reader = new StreamReader(stream);
            while (await reader.ReadLineAsync(_stop.Token) is { } line)
            {
                if (line.StartsWith("data:", StringComparison.Ordinal))
                    Note(line.AsMemory(5));
            }
        }
        catch (Exception end) when (end is OperationCanceledException or IOException or HttpRequestException)
        {
            Debug.WriteLine(end.Message);
        }
    }

    private void Note(ReadOnlyMemory<char> data)
    {
        var now = (DateTimeOffset.UtcNow - DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond;
        using var frame = JsonDocument.Parse(data);
        if (!frame.RootElement.TryGetProperty("jobs", out var jobs))
            return;
        Frames++;
        foreach (var entry in jobs.EnumerateArray())
        {
            // Overview frames name the job and its partitions' next offsets; output frames carry them as pairs beside the rows.
            if (entry.TryGetProperty("job", out var name) && name.GetString() == job)
            {
                foreach (var source in entry.GetProperty("sources").EnumerateArray())
                {
                    foreach (var pair in source.GetProperty("offsets").EnumerateArray())
                        Add(pair[0].GetInt32(), pair[1].GetInt64(), now);
                }
            }
            else if (entry.TryGetProperty("name", out name) && name.GetString() == job)
            {
                foreach (var source in entry.GetProperty("sources").EnumerateArray())
                {
                    foreach (var partition in source.GetProperty("partitions").EnumerateArray())
                        Add(partition.GetProperty("partition").GetInt32(), partition.GetProperty("nextOffset").GetInt64(), now);
                }
            }
        }
    }

    private void Add(int partition, long nextOffset, long micros)
    {
        var list = _shown.GetOrAdd(partition, _ => []);
        if (list.Count == 0 || list[^1].NextOffset < nextOffset)
            list.Add((nextOffset, micros));
    }
}

using System.Diagnostics;
using System.Globalization;
using Millrace.Coordination.Client;

namespace Millrace.Bench.Consensus;

/// <summary>
/// Sessions by quorums on three processes, fsynced: each choice of W and R, beside the store's own puts and linearizable reads through the same kind of client in the
/// same run. Three keep copies of everything (N = 3).
/// </summary>
internal static class SessionsPart
{
    private const int Keys = 10_000;
    private const int ValueBytes = 256;
    private static readonly int[] Loads = [1, 100, 1000];

    public static async Task RunAsync(BenchOptions options, string folder, List<Figure> figures, CancellationToken cancellation)
    {
        await using var group = new MillraceGroup(Path.Combine(folder, "sessions"));
        await group.StartAsync(cancellation);
        var sessions = group.Addresses.Select(static a => new SessionClient([a], TimeSpan.FromSeconds(30))).ToArray();
        var stores = group.Addresses.Select(static a => new CoordinationClient([a], TimeSpan.FromSeconds(30))).ToArray();
        try
        {
            options.Progress("warming up");
            var value = new byte[ValueBytes];
            await SpanAsync(200, 20_000, i => sessions[i % 3].PutAsync(Key(i), value, null, 2, cancellation));
            await SpanAsync(200, 10_000, i => sessions[i % 3].GetAsync(Key(i), 2, cancellation));
            var text = new string('v', ValueBytes);
            await SpanAsync(200, 10_000, i => stores[i % 3].PutAsync(Key(i), text, cancellation));
            foreach (var clients in Loads)
            {
                var count = Math.Max(clients * 10, clients == 1 ? 1_500 : 20_000) / (options.Quick ? 5 : 1);
                options.Progress($"{clients} clients, the store");
                var put = await SpanAsync(clients, count, i => stores[i % 3].PutAsync(Key(i), text, cancellation));
                var get = await SpanAsync(clients, count, i => stores[i % 3].GetAsync(Key(i), cancellation));
                foreach (var (write, read) in new[] { (2, 2), (3, 1), (1, 3), (1, 1) })
                {
                    options.Progress($"{clients} clients, W {write}, R {read}");
                    var before = await FlushesAsync(group, sessions, cancellation);
                    var puts = await SpanAsync(clients, count, i => sessions[i % 3].PutAsync(Key(i), value, null, write, cancellation));
                    var flushes = await FlushesAsync(group, sessions, cancellation) - before;
                    var gets = await SpanAsync(clients, count, i => sessions[i % 3].GetAsync(Key(i), read, cancellation));
                    figures.Add(Beside($"session puts, W {write} of 3, {clients} clients", puts.PerSecond, "puts/s", put.PerSecond));
                    figures.Add(Beside($"session put P99, W {write} of 3, {clients} clients", puts.P99, "ms", put.P99));
                    figures.Add(new Figure($"flushes of three members a session put, W {write}, {clients} clients", (double)flushes / count, "fsyncs"));
                    figures.Add(Beside($"session gets, R {read} of 3, {clients} clients", gets.PerSecond, "gets/s", get.PerSecond));
                    figures.Add(Beside($"session get P99, R {read} of 3, {clients} clients", gets.P99, "ms", get.P99));
                }
            }
        }
        finally
        {
            foreach (var client in sessions)
                client.Dispose();
            foreach (var client in stores)
                client.Dispose();
        }
    }

    private static Figure Beside(string name, double value, string unit, double store) => new(name, value, unit, "the store", store, value / store);

    private static string Key(int i) => string.Create(CultureInfo.InvariantCulture, $"session/{i % Keys:00000}");

    private static async Task<long> FlushesAsync(StoreGroup group, SessionClient[] clients, CancellationToken cancellation)
    {
        var all = await Task.WhenAll(clients.Select((client, i) => client.StatusAsync(group.Addresses[i], cancellation)));
        return all.Sum(static s => s.Flushes);
    }

    private static async Task<(double PerSecond, double P99)> SpanAsync(int clients, int count, Func<int, Task> act)
    {
        var millis = new double[count];
        var next = -1;
        var clock = Stopwatch.StartNew();
        await Task.WhenAll(Enumerable.Range(0, clients).Select(async _ =>
        {
            for (int i; (i = Interlocked.Increment(ref next)) < count;)
            {
                var began = Stopwatch.GetTimestamp();
                await act(i);
                millis[i] = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
            }
        }));
        var seconds = clock.Elapsed.TotalSeconds;
        Array.Sort(millis);
        return (count / seconds, millis[Math.Min(count - 1, count * 99 / 100)]);
    }
}

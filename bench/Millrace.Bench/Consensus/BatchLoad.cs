using System.Diagnostics;
using Millrace.Coordination.Client;

namespace Millrace.Bench.Consensus;

/// <summary>A client that does not wait for one write before it sends the next, and puts many into one transaction.</summary>
internal static class BatchLoad
{
    private const int PutsPerTransaction = 128;

    /// <summary>Puts per second of 256 bytes.</summary>
    public static async Task<double> RunAsync(
        StoreGroup group, int transactions, int inFlight, CancellationToken cancellation, int valueBytes = 256, bool warmUp = true)
    {
        // All to the leader, as a client does that cares.
        using var client = new CoordinationClient([group.AddressOf(await group.LeaderAsync(cancellation))], TimeSpan.FromSeconds(30));
        if (warmUp)
            await SendAsync(client, 50, inFlight, valueBytes, cancellation);
        var clock = Stopwatch.StartNew();
        await SendAsync(client, transactions, inFlight, valueBytes, cancellation);
        return transactions * (double)PutsPerTransaction / clock.Elapsed.TotalSeconds;
    }

    private static Task SendAsync(CoordinationClient client, int transactions, int inFlight, int valueBytes, CancellationToken cancellation)
    {
        var next = 0;
        var value = new byte[valueBytes];
        return Task.WhenAll(Enumerable.Range(0, inFlight).Select(async _ =>
        {
            for (int number; (number = Interlocked.Increment(ref next)) <= transactions;)
            {
                var writes = new KeyWrite[PutsPerTransaction];
                for (var i = 0; i < writes.Length; i++)
                    writes[i] = new KeyWrite($"batch/{((number * PutsPerTransaction) + i) % 100_000:00000}", value);
                await client.WriteAsync(writes, cancellation);
            }
        }));
    }
}

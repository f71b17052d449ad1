using System.Globalization;
using Google.Protobuf;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Client;

/// <summary>
/// A lock that this process holds until it is disposed of or <see cref="Lost"/>. Holding is a belief: a process may sleep longer than its
/// lease lasts, and wake when another holds the lock. Whatever the lock protects must therefore refuse a <see cref="FencingToken"/> that is
/// smaller than one it has seen (Kleppmann: How to do distributed locking, 2016).
/// </summary>
public sealed class HeldLock : IAsyncDisposable
{
    private readonly CoordinationClient _client;
    private readonly CancellationTokenSource _stop = new();
    private readonly CancellationTokenSource _lost = new();
    private readonly Task _keeping;

    private HeldLock(CoordinationClient client, string key, long lease, long token, TimeSpan ttl)
    {
        _client = client;
        Key = key;
        Lease = lease;
        FencingToken = token;
        _keeping = KeepAsync(ttl);
    }

    /// <summary>The key in the store that stands for this holder.</summary>
    public string Key { get; }

    public long Lease { get; }

    /// <summary>Greater than that of every earlier holder of the name.</summary>
    public long FencingToken { get; }

    /// <summary>Canceled when the lease is over or cannot be renewed in time.</summary>
    public CancellationToken Lost => _lost.Token;

    internal static async Task<HeldLock> AcquireAsync(CoordinationClient client, string name, TimeSpan ttl, CancellationToken cancellation,
        ReadOnlyMemory<byte> value = default)
    {
        var lease = await client.GrantLeaseAsync(ttl, cancellation).ConfigureAwait(false);
        // etcd's recipe, so that etcdctl lock and other clients wait in the same row: the oldest key under the name holds.
        var key = string.Create(CultureInfo.InvariantCulture, $"{name}/{lease:x}");
        HeldLock? held = null;
        try
        {
            var created = await client.PutAsync(key, value, lease, cancellation).ConfigureAwait(false);
            held = new HeldLock(client, key, lease, created, ttl);
            using var gone = CancellationTokenSource.CreateLinkedTokenSource(cancellation, held.Lost);
            await WaitForOlderAsync(client, name + "/", created, gone.Token).ConfigureAwait(false);
            return held;
        }
        catch
        {
            if (held is not null)
                await held.DisposeAsync().ConfigureAwait(false);
            else
                await client.RevokeLeaseAsync(lease, CancellationToken.None).ConfigureAwait(false);
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _keeping.ConfigureAwait(false);
        try
        {
            await _client.RevokeLeaseAsync(Lease, CancellationToken.None).ConfigureAwait(false);
        }
        catch (CoordinationException)
        {
            // Its lease ends by itself.
        }
        _stop.Dispose();
        _lost.Dispose();
    }

    private static async Task WaitForOlderAsync(CoordinationClient client, string prefix, long mine, CancellationToken cancellation)
    {
        while (true)
        {
            var (keys, revision) = await client.ListAsync(prefix, cancellation).ConfigureAwait(false);
            KeyVersion? before = null;
            foreach (var key in keys)
            {
                if (key.CreateRevision < mine && (before is null || key.CreateRevision > before.CreateRevision))
                    before = key;
            }
            if (before is null)
                return;
            // Only the next older one: when it goes, it wakes one waiter and not all.
            await foreach (var change in client.WatchAsync(before.Key, revision + 1, cancellation).ConfigureAwait(false))
            {
                if (change.IsDeletion && change.Key.Key == before.Key)
                    break;
            }
        }
    }

    private async Task KeepAsync(TimeSpan ttl)
    {
        var renewed = _client.Time.GetTimestamp();
        try
        {
            while (true)
            {
                await Task.Delay(ttl / 3, _client.Time, _stop.Token).ConfigureAwait(false);
                var asked = _client.Time.GetTimestamp();
                bool isAlive;
                try
                {
                    isAlive = await _client.KeepAliveAsync(Lease, _stop.Token).ConfigureAwait(false);
                    renewed = asked;
                }
                catch (CoordinationException)
                {
                    isAlive = _client.Time.GetElapsedTime(renewed) < ttl;
                }
                if (isAlive)
                    continue;
                await _lost.CancelAsync().ConfigureAwait(false);
                return;
            }
        }
        catch (OperationCanceledException)
        {
            // Given back.
        }
    }
}

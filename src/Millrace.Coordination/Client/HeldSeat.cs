namespace Millrace.Coordination.Client;

/// <summary>
/// A seat that this process was elected to, until it is disposed of or <see cref="Lost"/>; what is elected is the value that all see. It is a
/// lock by another name, in the same row as <c>etcdctl elect</c> and etcd's other clients wait in.
/// </summary>
public sealed class HeldSeat : IAsyncDisposable
{
    private readonly CoordinationClient _client;
    private readonly HeldLock _lock;

    private HeldSeat(CoordinationClient client, HeldLock held)
    {
        _client = client;
        _lock = held;
    }

    /// <summary>Greater than that of everyone who sat here before: to be shown to whatever obeys the leader.</summary>
    public long FencingToken => _lock.FencingToken;

    /// <summary>Canceled when the seat may be another's.</summary>
    public CancellationToken Lost => _lock.Lost;

    /// <summary>Says something else from the seat; false when it is another's by now.</summary>
    public async Task<bool> ProclaimAsync(string value, CancellationToken cancellation)
    {
        var key = await _client.GetAsync(_lock.Key, cancellation).ConfigureAwait(false);
        return key is not null && key.CreateRevision == FencingToken && await _client.WriteAsync(
            [new KeyWrite(_lock.Key, System.Text.Encoding.UTF8.GetBytes(value), key.ModRevision, _lock.Lease)], cancellation).ConfigureAwait(false) is not null;
    }

    public ValueTask DisposeAsync() => _lock.DisposeAsync();

    internal static async Task<HeldSeat> CampaignAsync(
        CoordinationClient client, string name, string value, TimeSpan ttl, CancellationToken cancellation) => new(
            client, await HeldLock.AcquireAsync(client, name, ttl, cancellation, System.Text.Encoding.UTF8.GetBytes(value)).ConfigureAwait(false));
}

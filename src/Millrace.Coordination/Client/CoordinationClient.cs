using System.Runtime.CompilerServices;
using Google.Protobuf;
using Millrace.Coordination.Wire;
using Millrace.Raft.Transport;

namespace Millrace.Coordination.Client;

/// <summary>A key at one version.</summary>
public sealed record KeyVersion(string Key, ReadOnlyMemory<byte> Value, long CreateRevision, long ModRevision, long Version, long Lease)
{
    /// <summary>The value as UTF-8.</summary>
    public string Text => System.Text.Encoding.UTF8.GetString(Value.Span);
}

/// <summary>A change that a watch tells. A deletion has no value.</summary>
public sealed record KeyChange(bool IsDeletion, KeyVersion Key);

/// <summary>A step of a transaction: a put, or with no value a deletion, if the key is still at a revision.</summary>
/// <param name="IfModRevision">Required of the key: 0 for absent, null for no condition.</param>
public sealed record KeyWrite(string Key, ReadOnlyMemory<byte>? Value, long? IfModRevision = null, long Lease = 0);

/// <summary>
/// A client of a store with etcd's v3 API, Millrace's own or etcd: keys, transactions, leases, locks and watches. Thread-safe. A write
/// whose outcome is unknown ends with an error; make it conditional if it must not happen twice.
/// </summary>
public sealed class CoordinationClient : IDisposable
{
    private readonly ClientChannels _channels;
    private readonly TimeProvider _time;

    /// <param name="endpoints">Of members, as <c>http://host:port</c> or <c>https://</c>; the first that answers serves.</param>
    /// <param name="timeout">For each call; 10 s when null.</param>
    /// <param name="time">For timeouts and for keeping leases alive.</param>
    /// <param name="tls">What the client trusts and proves over https; null: what the system trusts.</param>
    public CoordinationClient(IReadOnlyList<Uri> endpoints, TimeSpan? timeout = null, TimeProvider? time = null, TlsFiles? tls = null)
    {
        _time = time ?? TimeProvider.System;
        _channels = new ClientChannels(endpoints, timeout ?? TimeSpan.FromSeconds(10), _time, tls);
    }

    internal TimeProvider Time => _time;

    /// <summary>The key as it is after everything acknowledged before this call; null when absent.</summary>
    public async Task<KeyVersion?> GetAsync(string key, CancellationToken cancellation)
    {
        var answer = await RangeAsync(new RangeRequest { Key = ByteString.CopyFromUtf8(key) }, cancellation).ConfigureAwait(false);
        return answer.Kvs.Count == 0 ? null : Of(answer.Kvs[0]);
    }

    /// <summary>All keys with a prefix in order, at one revision, which is returned too: a watch from the next one on misses nothing.</summary>
    public async Task<(IReadOnlyList<KeyVersion> Keys, long Revision)> ListAsync(string prefix, CancellationToken cancellation)
    {
        var answer = await RangeAsync(
            new RangeRequest { Key = StartOf(prefix), RangeEnd = EndOf(prefix) }, cancellation).ConfigureAwait(false);
        return ([.. answer.Kvs.Select(Of)], answer.Header.Revision);
    }

    /// <summary>Returns the revision of the write.</summary>
    public Task<long> PutAsync(string key, string value, CancellationToken cancellation) =>
        PutAsync(key, System.Text.Encoding.UTF8.GetBytes(value), 0, cancellation);

    public async Task<long> PutAsync(string key, ReadOnlyMemory<byte> value, long lease, CancellationToken cancellation)
    {
        var request = new PutRequest { Key = ByteString.CopyFromUtf8(key), Value = ByteString.CopyFrom(value.Span), Lease = lease };
        var answer = await _channels.CallAsync(
            "/etcdserverpb.KV/Put", request, PutResponse.Parser, isRepeatable: false, cancellation).ConfigureAwait(false);
        return answer.Header.Revision;
    }

    /// <summary>True when there was something to delete.</summary>
    public async Task<bool> DeleteAsync(string key, CancellationToken cancellation)
    {
        var answer = await _channels.CallAsync(
            "/etcdserverpb.KV/DeleteRange", new DeleteRangeRequest { Key = ByteString.CopyFromUtf8(key) }, DeleteRangeResponse.Parser,
            isRepeatable: false, cancellation).ConfigureAwait(false);
        return answer.Deleted > 0;
    }

    /// <summary>All writes or none: none when a condition does not hold. Returns the revision, or null when none was done.</summary>
    public async Task<long?> WriteAsync(IReadOnlyList<KeyWrite> writes, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(writes);
        var txn = new TxnRequest();
        foreach (var write in writes)
        {
            var key = ByteString.CopyFromUtf8(write.Key);
            if (write.IfModRevision is { } revision)
                txn.Compare.Add(new Compare { Target = Compare.Types.CompareTarget.Mod, Key = key, ModRevision = revision });
            txn.Success.Add(write.Value is { } value
                ? new RequestOp { RequestPut = new PutRequest { Key = key, Value = ByteString.CopyFrom(value.Span), Lease = write.Lease } }
                : new RequestOp { RequestDeleteRange = new DeleteRangeRequest { Key = key } });
        }
        var answer = await _channels.CallAsync(
            "/etcdserverpb.KV/Txn", txn, TxnResponse.Parser, isRepeatable: false, cancellation).ConfigureAwait(false);
        return answer.Succeeded ? answer.Header.Revision : null;
    }

    /// <summary>Forgets all versions before a revision.</summary>
    public Task CompactAsync(long revision, CancellationToken cancellation) => _channels.CallAsync(
        "/etcdserverpb.KV/Compact", new CompactionRequest { Revision = revision }, CompactionResponse.Parser, isRepeatable: false, cancellation);

    public async Task<long> GrantLeaseAsync(TimeSpan ttl, CancellationToken cancellation)
    {
        var request = new LeaseGrantRequest { TTL = Math.Max(1, (long)Math.Ceiling(ttl.TotalSeconds)) };
        var answer = await _channels.CallAsync(
            "/etcdserverpb.Lease/LeaseGrant", request, LeaseGrantResponse.Parser, isRepeatable: true, cancellation).ConfigureAwait(false);
        return answer.ID;
    }

    /// <summary>Gives a lease its whole time again; false when it is over.</summary>
    public async Task<bool> KeepAliveAsync(long lease, CancellationToken cancellation)
    {
        // One question and its answer are a stream of one each: no stream stays open for every lease.
        var answer = await _channels.CallAsync(
            "/etcdserverpb.Lease/LeaseKeepAlive", new LeaseKeepAliveRequest { ID = lease }, LeaseKeepAliveResponse.Parser,
            isRepeatable: true, cancellation).ConfigureAwait(false);
        return answer.TTL > 0;
    }

    /// <summary>Ends a lease; its keys go with it. One that is over already is no error.</summary>
    public async Task RevokeLeaseAsync(long lease, CancellationToken cancellation)
    {
        try
        {
            await _channels.CallAsync(
                "/etcdserverpb.Lease/LeaseRevoke", new LeaseRevokeRequest { ID = lease }, LeaseRevokeResponse.Parser,
                isRepeatable: true, cancellation).ConfigureAwait(false);
        }
        catch (CoordinationException error) when (error.Code == 5)
        {
            // Over by itself.
        }
    }

    /// <summary>Waits until nobody else holds the name, then holds it until disposed of, or until this process is silent for the time given.</summary>
    /// <exception cref="CoordinationException">The store refused or cannot be reached.</exception>
    public Task<HeldLock> LockAsync(string name, TimeSpan ttl, CancellationToken cancellation) => HeldLock.AcquireAsync(this, name, ttl, cancellation);

    /// <summary>Waits until this process is elected to a seat, then holds it as a lock is held.</summary>
    /// <param name="seat">The seat's name, as <c>etcdctl elect</c> takes it.</param>
    /// <param name="value">What others see of whoever sits there.</param>
    /// <param name="ttl">How long this process may be silent.</param>
    /// <param name="cancellation">Gives up.</param>
    public Task<HeldSeat> CampaignAsync(string seat, string value, TimeSpan ttl, CancellationToken cancellation) =>
        HeldSeat.CampaignAsync(this, seat, value, ttl, cancellation);

    /// <summary>Who sits there now: the oldest candidate; null when the seat is empty.</summary>
    public async Task<KeyVersion?> LeaderAsync(string seat, CancellationToken cancellation) =>
        (await ListAsync(seat + "/", cancellation).ConfigureAwait(false)).Keys.MinBy(static k => k.CreateRevision);

    /// <summary>
    /// Every change of keys with a prefix from a revision on, in order and without holes, also over lost connections, for as long as the
    /// revisions are kept.
    /// </summary>
    /// <param name="prefix">Of the keys; an exact key is its own prefix.</param>
    /// <param name="fromRevision">The first revision of interest.</param>
    /// <param name="cancellation">Ends the watch.</param>
    /// <exception cref="CoordinationException">Code 11: the revisions are compacted away; list and watch anew.</exception>
    public async IAsyncEnumerable<KeyChange> WatchAsync(
        string prefix, long fromRevision, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var next = fromRevision;
        while (true)
        {
            var channel = _channels.Preferred;
            await using var changes = new WatchConnection(channel, prefix, EndOf(prefix), next, _channels.Token, cancellation);
            while (await changes.NextAsync().ConfigureAwait(false) is { } response)
            {
                foreach (var change in response.Events)
                    yield return new KeyChange(change.Type == Event.Types.EventType.Delete, Of(change.Kv));
                next = Math.Max(next, response.Header.Revision + 1);
            }
            _channels.PassOver(channel);
            await Task.Delay(TimeSpan.FromMilliseconds(100), _time, cancellation).ConfigureAwait(false);
        }
    }

    public void Dispose() => _channels.Dispose();

    internal Task<TResponse> CallAsync<TResponse>(
        string method, IMessage request, MessageParser<TResponse> parser, bool isRepeatable, CancellationToken cancellation)
        where TResponse : class, IMessage<TResponse> => _channels.CallAsync(method, request, parser, isRepeatable, cancellation);

    /// <summary>The first key that can have a prefix; an empty key would be none.</summary>
    internal static ByteString StartOf(string prefix) => prefix.Length == 0 ? ByteString.CopyFrom(0) : ByteString.CopyFromUtf8(prefix);

    /// <summary>The first key after all with a prefix.</summary>
    internal static ByteString EndOf(string prefix)
    {
        var bytes = System.Text.Encoding.UTF8.GetBytes(prefix);
        for (var i = bytes.Length - 1; i >= 0; i--)
        {
            if (bytes[i] < byte.MaxValue)
            {
                bytes[i]++;
                return ByteString.CopyFrom(bytes, 0, i + 1);
            }
        }
        return ByteString.CopyFrom(0);
    }

    private Task<RangeResponse> RangeAsync(RangeRequest request, CancellationToken cancellation) =>
        _channels.CallAsync("/etcdserverpb.KV/Range", request, RangeResponse.Parser, isRepeatable: true, cancellation);

    private static KeyVersion Of(KeyValue kv) =>
        new(kv.Key.ToStringUtf8(), kv.Value.Memory, kv.CreateRevision, kv.ModRevision, kv.Version, kv.Lease);
}

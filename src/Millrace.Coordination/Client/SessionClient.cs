using Google.Protobuf;
using Millrace.Coordination.Sessions;
using Millrace.Coordination.Wire;
using Millrace.Raft.Transport;

namespace Millrace.Coordination.Client;

/// <summary>A session as a read found it.</summary>
/// <param name="Answers">Copies that answered the read.</param>
public sealed record FoundSession(ReadOnlyMemory<byte> Value, DateTimeOffset WrittenAt, DateTimeOffset? ExpiresAt, int Answers);

/// <summary>Sessions by quorums on a group's members, each call through one of them. Thread-safe.</summary>
/// <param name="endpoints">Of members, as <c>http://host:port</c>; the first that answers serves.</param>
/// <param name="timeout">For each call; 10 s when null.</param>
/// <param name="time">For that timeout.</param>
/// <param name="tls">What is proven and trusted; null: no TLS.</param>
public sealed class SessionClient(IReadOnlyList<Uri> endpoints, TimeSpan? timeout = null, TimeProvider? time = null, TlsFiles? tls = null) : IDisposable
{
    private readonly ClientChannels _channels = new(endpoints, timeout ?? TimeSpan.FromSeconds(10), time ?? TimeProvider.System, tls);

    /// <param name="key">Of the session.</param>
    /// <param name="value">Null deletes it.</param>
    /// <param name="ttl">It is gone after that; null for never.</param>
    /// <param name="write">Copies to wait for; null: as the group is set.</param>
    /// <param name="cancellation">Ends the wait, not the write.</param>
    /// <returns>Copies that had it when it was acknowledged.</returns>
    /// <exception cref="CoordinationException">Fewer copies than that were reached; a read may find the write or not.</exception>
    public async Task<int> PutAsync(string key, ReadOnlyMemory<byte>? value, TimeSpan? ttl, int? write, CancellationToken cancellation)
    {
        var request = new SessionPutRequest
        {
            Key = key, IsDeletion = value is null, Value = ByteString.CopyFrom((value ?? default).Span), Write = write ?? 0,
            TtlSeconds = ttl is { } lifetime ? Math.Max(1, (long)lifetime.TotalSeconds) : 0,
        };
        // The newest write wins, and the second of two that are the same is the same.
        return (await _channels.CallAsync("/millrace.Sessions/Put", request, SessionPutResponse.Parser, isRepeatable: true, cancellation).ConfigureAwait(false)).Answers;
    }

    /// <param name="key">Of the session.</param>
    /// <param name="read">Copies to wait for; null: as the group is set.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public async Task<FoundSession?> GetAsync(string key, int? read, CancellationToken cancellation)
    {
        var answer = await _channels.CallAsync(
            "/millrace.Sessions/Get", new SessionGetRequest { Key = key, Read = read ?? 0 }, SessionGetResponse.Parser, isRepeatable: true, cancellation).ConfigureAwait(false);
        return answer.IsFound
            ? new FoundSession(
                answer.Value.Memory, DateTimeOffset.FromUnixTimeMilliseconds(answer.Millis),
                answer.ExpiresAtMillis > 0 ? DateTimeOffset.FromUnixTimeMilliseconds(answer.ExpiresAtMillis) : null, answer.Answers)
            : null;
    }

    /// <summary>Sessions as one member has them, which must be among the endpoints.</summary>
    /// <param name="endpoint">Of the member.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public async Task<SessionStatus> StatusAsync(Uri endpoint, CancellationToken cancellation)
    {
        var answer = await _channels.CallAsync(
            _channels.For(endpoint), "/millrace.Sessions/Status", new SessionStatusRequest(), SessionStatusResponse.Parser, cancellation).ConfigureAwait(false);
        return new SessionStatus(
            new SessionQuorum(answer.Copies, answer.Write, answer.Read), answer.Puts, answer.Gets, answer.Repairs, answer.Handoffs, answer.Written, answer.Flushes,
            [.. answer.Hints.Select(static h => new SessionHints(h.Member, h.Count))], answer.Failure.Length == 0 ? null : answer.Failure);
    }

    public void Dispose() => _channels.Dispose();
}

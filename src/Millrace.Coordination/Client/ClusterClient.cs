using System.Security.Cryptography;
using Google.Protobuf;
using Millrace.Coordination.Grpc;
using Millrace.Coordination.Wire;
using Millrace.Raft.Transport;

namespace Millrace.Coordination.Client;

/// <summary>A member as its group lists it.</summary>
/// <param name="Id">Printed in hex by etcd's tools.</param>
/// <param name="Name">Empty until it has started once.</param>
public sealed record ListedMember(ulong Id, string Name, IReadOnlyList<string> PeerUrls, IReadOnlyList<string> ClientUrls, bool IsLearner);

/// <summary>What a member says of itself.</summary>
public sealed record MemberReport(
    ulong ClusterId, ulong MemberId, string Version, long DbBytes, ulong Leader, ulong Term, ulong Index, ulong AppliedIndex, long Revision,
    bool IsLearner, IReadOnlyList<string> Errors);

/// <summary>What a member's process costs, since its start.</summary>
/// <param name="Paused">How long the garbage collector made it stand still.</param>
/// <param name="Pauses">How often, by length: <see cref="Node.CollectorPauses.Bounds"/>.</param>
/// <param name="Collections">By generation; a collection counts in all below its own.</param>
public sealed record MemberProcess(TimeSpan Paused, IReadOnlyList<long> Pauses, IReadOnlyList<long> Collections, long ManagedBytes, long ResidentBytes);

/// <summary>
/// The management of a group that speaks etcd's v3 API: Millrace's own, or etcd. Thread-safe.
/// </summary>
public sealed class ClusterClient : IDisposable
{
    private readonly ClientChannels _channels;

    /// <param name="endpoints">Of members, as <c>http://host:port</c> or <c>https://</c>; the first that answers serves.</param>
    /// <param name="timeout">For each call; 10 s when null.</param>
    /// <param name="time">For that timeout.</param>
    /// <param name="tls">What the client trusts and proves over https; null: what the system trusts.</param>
    public ClusterClient(IReadOnlyList<Uri> endpoints, TimeSpan? timeout = null, TimeProvider? time = null, TlsFiles? tls = null) =>
        _channels = new ClientChannels(endpoints, timeout ?? TimeSpan.FromSeconds(10), time ?? TimeProvider.System, tls);

    public async Task<IReadOnlyList<ListedMember>> MembersAsync(CancellationToken cancellation)
    {
        var answer = await _channels.CallAsync(
            "/etcdserverpb.Cluster/MemberList", new MemberListRequest(), MemberListResponse.Parser, isRepeatable: true, cancellation).ConfigureAwait(false);
        return [.. answer.Members.Select(Listed)];
    }

    /// <summary>Asks one member about itself.</summary>
    public async Task<MemberReport> ReportAsync(Uri endpoint, CancellationToken cancellation)
    {
        var answer = await _channels.CallAsync(
            _channels.For(endpoint), "/etcdserverpb.Maintenance/Status", new StatusRequest(), StatusResponse.Parser, cancellation).ConfigureAwait(false);
        return new MemberReport(
            answer.Header.ClusterId, answer.Header.MemberId, answer.Version, answer.DbSize, answer.Leader, answer.RaftTerm, answer.RaftIndex,
            answer.RaftAppliedIndex, answer.Header.Revision, answer.IsLearner, [.. answer.Errors]);
    }

    /// <summary>Asks one member of Millrace's own about its process.</summary>
    public async Task<MemberProcess> ProcessAsync(Uri endpoint, CancellationToken cancellation)
    {
        var answer = await _channels.CallAsync(
            _channels.For(endpoint), "/millrace.Members/Process", new ProcessQuestion(), ProcessFigures.Parser, cancellation).ConfigureAwait(false);
        return new MemberProcess(
            TimeSpan.FromMicroseconds(answer.PauseMicros), [.. answer.Pauses], [.. answer.Collections], answer.ManagedBytes, answer.ResidentBytes);
    }

    /// <summary>Tells the group of a member that will start; a learner counts for nothing until it is promoted.</summary>
    public async Task<ListedMember> AddAsync(string peerUrl, bool isLearner, CancellationToken cancellation)
    {
        var request = new MemberAddRequest { IsLearner = isLearner };
        request.PeerURLs.Add(peerUrl);
        var answer = await _channels.CallAsync(
            "/etcdserverpb.Cluster/MemberAdd", request, MemberAddResponse.Parser, isRepeatable: false, cancellation).ConfigureAwait(false);
        return Listed(answer.Member);
    }

    public Task RemoveAsync(ulong id, CancellationToken cancellation) => _channels.CallAsync(
        "/etcdserverpb.Cluster/MemberRemove", new MemberRemoveRequest { ID = id }, MemberRemoveResponse.Parser, isRepeatable: false, cancellation);

    public Task PromoteAsync(ulong id, CancellationToken cancellation) => _channels.CallAsync(
        "/etcdserverpb.Cluster/MemberPromote", new MemberPromoteRequest { ID = id }, MemberPromoteResponse.Parser, isRepeatable: false, cancellation);

    /// <summary>Hands leadership over; only the leader can be asked.</summary>
    public Task MoveLeaderAsync(Uri leader, ulong to, CancellationToken cancellation) => _channels.CallAsync(
        _channels.For(leader), "/etcdserverpb.Maintenance/MoveLeader", new MoveLeaderRequest { TargetID = to }, MoveLeaderResponse.Parser, cancellation);

    /// <summary>Writes the state of the member that serves: its bytes and their SHA-256, as <c>etcdctl snapshot save</c> does.</summary>
    /// <returns>Bytes written.</returns>
    /// <exception cref="CoordinationException">What came does not match its hash, or the call failed.</exception>
    public async Task<long> SnapshotAsync(Stream target, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(target);
        var channel = _channels.Preferred;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] held = [];
        long written = 0;
        await foreach (var piece in channel.StreamAsync(
            "/etcdserverpb.Maintenance/Snapshot", new SnapshotRequest(), SnapshotResponse.Parser, _channels.Token, cancellation).ConfigureAwait(false))
        {
            // The last 32 bytes of all are the hash; they may come in a piece of their own.
            hash.AppendData(held);
            await target.WriteAsync(piece.Blob.Memory, cancellation).ConfigureAwait(false);
            held = piece.Blob.ToByteArray();
            written += held.Length;
        }
        if (held.Length < SHA256.HashSizeInBytes)
            throw new CoordinationException(GrpcCodes.Internal, $"{channel.Endpoint} ended its snapshot without a hash");
        hash.AppendData(held.AsSpan(0, held.Length - SHA256.HashSizeInBytes));
        if (!hash.GetHashAndReset().AsSpan().SequenceEqual(held.AsSpan(held.Length - SHA256.HashSizeInBytes)))
            throw new CoordinationException(GrpcCodes.Internal, $"the snapshot from {channel.Endpoint} does not match its hash");
        return written;
    }

    public void Dispose() => _channels.Dispose();

    private static ListedMember Listed(Member member) =>
        new(member.ID, member.Name, [.. member.PeerURLs], [.. member.ClientURLs], member.IsLearner);
}

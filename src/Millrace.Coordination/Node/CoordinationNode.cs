using System.Net;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Coordination.Client;
using Millrace.Coordination.Etcd;
using Millrace.Coordination.Grpc;
using Millrace.Coordination.Sessions;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;
using Millrace.Raft.Consensus;
using Millrace.Raft.Transport;
using Millrace.Storage.Files;

namespace Millrace.Coordination.Node;

/// <summary>
/// A member of the coordination store in this process: a replica of the state, and etcd's v3 API over gRPC on its client port.
/// </summary>
/// <remarks>Thread-safe. When <see cref="Completion"/> fails, the member answers no more and must be disposed.</remarks>
public sealed partial class CoordinationNode : IAsyncDisposable
{
    private static readonly TimeSpan ChoreEvery = TimeSpan.FromMilliseconds(100);

    /// <summary>With nothing waiting and no lease to watch, so that an idle member sleeps.</summary>
    private static readonly TimeSpan IdleChoreEvery = TimeSpan.FromSeconds(1);
    private readonly Replica _replica;
    private readonly GrpcServer _server;
    private readonly CancellationTokenSource _stop = new();
    private readonly ILogger _logger;
    private readonly SessionMember _sessions;
    private Task _chores = Task.CompletedTask;

    private CoordinationNode(Replica replica, GrpcServer server, SessionMember sessions, ILogger logger)
    {
        _replica = replica;
        _sessions = sessions;
        _server = server;
        _logger = logger;
    }

    /// <summary>Where clients reach it.</summary>
    public int ClientPort => _server.Port;

    /// <summary>Where other members reach it; -1 when it listens for none.</summary>
    public int PeerPort => _replica.PeerPort;

    public ulong MemberId => _replica.Id;

    /// <summary>Fails when the member can go on no more: a failed disk, a broken invariant, or its removal from the group.</summary>
    public Task Completion => _replica.Completion;

    /// <summary>The member as it is now.</summary>
    public RaftStatus Status => _replica.Status;

    /// <summary>The last entry that its state holds.</summary>
    public long AppliedIndex => _replica.AppliedIndex;

    /// <summary>What was damaged on disk, while this member gets it again from the others and does not vote; else null.</summary>
    public string? Healing => _replica.Healing;

    internal CommitToVisible Visible => _replica.Visible;

    /// <summary>Times that this process mended its log from the others.</summary>
    public int Heals => _replica.Heals;

    /// <summary>Bytes of this process that are kept for keys and versions, and how many of them are in use.</summary>
    public (long Reserved, long Used) StateMemory => _replica.Read(static machine => machine.Store.Memory);

    /// <summary>The group as this member sees it, with the leader's view of the others if there is one.</summary>
    public Task<GroupView> ViewAsync() => GroupView.OfAsync(_replica);

    /// <summary>Saves a snapshot of the state soon and shortens the log by what it holds.</summary>
    public void RequestSnapshot() => _replica.RequestSnapshot();

    /// <summary>Sessions by quorums as this member has them.</summary>
    public SessionStatus SessionStatus => _sessions.Status();

    /// <summary>Writes a session through this member; a null value deletes it.</summary>
    /// <param name="key">1 to 1,024 characters.</param>
    /// <param name="value">Null deletes it.</param>
    /// <param name="ttl">Gone after that; null for never.</param>
    /// <param name="write">Copies to wait for; null: as the group is set.</param>
    /// <exception cref="CoordinationException">Refused, or fewer copies were written in time: a read may then find the write or not.</exception>
    public Task<SessionOutcome> PutSessionAsync(string key, ReadOnlyMemory<byte>? value, TimeSpan? ttl, int? write) => WithoutUsersAsync(
        () => _sessions.PutAsync(key, value, ttl is { } span ? Math.Max(1, (long)span.TotalSeconds) : 0, write ?? 0));

    /// <summary>Reads a session through this member; the outcome has no version when there is none.</summary>
    /// <param name="key">1 to 1,024 characters.</param>
    /// <param name="read">Copies to wait for; null: as the group is set.</param>
    /// <exception cref="CoordinationException">Refused, or fewer copies answered in time.</exception>
    public Task<SessionOutcome> GetSessionAsync(string key, int? read) => WithoutUsersAsync(() => _sessions.GetAsync(key, read ?? 0));

    /// <summary>Opens or makes the data folder, joins its group and serves clients.</summary>
    /// <exception cref="FolderLockedException">Another process has the data folder.</exception>
    /// <exception cref="Raft.Log.LogCorruptException">What was durable is damaged; names file and offset.</exception>
    /// <exception cref="IOException">A port is taken, or the disk failed.</exception>
    public static async Task<CoordinationNode> StartAsync(
        CoordinationOptions options, TimeProvider? time = null, ILoggerFactory? loggers = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        CollectorPauses.Begin();
        time ??= TimeProvider.System;
        loggers ??= NullLoggerFactory.Instance;
        var logger = loggers.CreateLogger<CoordinationNode>();
        var replica = await Replica.StartAsync(options, DiskFileSystem.Instance, time, logger, cancel).ConfigureAwait(false);
        try
        {
            var server = new GrpcServer(new IPEndPoint(options.Address, options.ClientPort), options.MaxRequestBytes + (512 << 10), time, loggers,
                options.ClientTls is null ? null : TlsIdentity.Load(options.ClientTls, "TLS of clients"))
            {
                StatusOf = StatusOf, Pages = new StatusPages(replica).AnswerAsync,
            };
            var callers = new Callers(replica);
            var leases = new LeaseService(replica, callers);
            new KvService(replica, callers).Register(server);
            new WatchService(replica, callers).Register(server);
            leases.Register(server);
            new ClusterService(replica, callers).Register(server);
            new MaintenanceService(replica, callers).Register(server);
            new AuthService(replica, callers).Register(server);
            new LockService(replica, callers, leases).Register(server);
            var sessions = new SessionMember(replica, logger);
            new SessionService(sessions, callers).Register(server);
            server.Start();
            var node = new CoordinationNode(replica, server, sessions, logger);
            node._chores = node.DoChoresAsync();
            return node;
        }
        catch
        {
            await replica.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        using (var patience = new CancellationTokenSource(TimeSpan.FromSeconds(2)))
        {
            // Calls that go on for ever, as watches do, are cut.
            await _server.StopAsync(patience.Token).ConfigureAwait(false);
        }
        await _chores.ConfigureAwait(false);
        _sessions.Dispose();
        await _replica.DisposeAsync().ConfigureAwait(false);
        await _server.DisposeAsync().ConfigureAwait(false);
        _stop.Dispose();
    }

    /// <summary>Who calls through this process has no token, so where users are on it is refused.</summary>
    private async Task<SessionOutcome> WithoutUsersAsync(Func<Task<SessionOutcome>> act)
    {
        if (_replica.Machine.Auth.IsEnabled)
            throw new CoordinationException(GrpcCodes.PermissionDenied, "users are on in the coordination store: sessions are reached with a token, on its own port");
        try
        {
            return await act().ConfigureAwait(false);
        }
        catch (StoreException error)
        {
            throw new CoordinationException(error.Code, error.Message, error);
        }
    }

    private static (int Code, string Text)? StatusOf(Exception error) => error is StoreException known ? (known.Code, known.Message) : null;

    /// <summary>What a member does beside requests: expired leases, overdue requests, its own entry in the list of members, the quota.</summary>
    private async Task DoChoresAsync()
    {
        // Proposals run beside this loop: it is also what ends those that get no answer.
        var publishing = Task.CompletedTask;
        var asking = Task.CompletedTask;
        var ledAt = _replica.Time.GetTimestamp();
        try
        {
            using var timer = new PeriodicTimer(ChoreEvery, _replica.Time);
            while (await timer.WaitForNextTickAsync(_stop.Token).ConfigureAwait(false))
            {
                _replica.Sweep();
                foreach (var id in _replica.Leases.TakeExpired())
                    _ = RevokeAsync(id); // Fails by no exception.
                if (!_replica.Status.Leader.IsNone && publishing.IsCompleted)
                    publishing = PublishAsync();
                if (!_replica.Status.Leader.IsNone || !asking.IsCompleted)
                {
                    ledAt = _replica.Time.GetTimestamp();
                }
                else if (_replica.Time.GetElapsedTime(ledAt) >= _replica.Options.AskIfRemovedAfter)
                {
                    asking = _replica.AskIfRemovedAsync(_stop.Token);
                }
                timer.Period = _replica.HasChores || !_replica.IsPublished ? ChoreEvery : IdleChoreEvery;
            }
        }
        catch (OperationCanceledException)
        {
            // Stopping.
        }
        await asking.ConfigureAwait(false);
    }

    private async Task RevokeAsync(long id)
    {
        try
        {
            await _replica.ProposeAsync(CommandKind.LeaseRevoke, new LeaseRevokeRequest { ID = id }).ConfigureAwait(false);
        }
        catch (StoreException error)
        {
            // Gone already, or there is no leader now: whoever leads tries again.
            LogNotRevoked(_logger, id, error.Message);
        }
    }

    private async Task PublishAsync()
    {
        var url = _replica.Options.AdvertisedClientUrl ?? $"{(_replica.Options.ClientTls is null ? "http" : "https")}://{_replica.Options.Address}:{ClientPort}";
        var name = _replica.Options.Name;
        var mine = _replica.Read(machine => machine.FindMember(_replica.Id));
        var self = _replica.Options.Members.FirstOrDefault(m => m.Name == name);
        var peerUrl = self is null ? null : NodeIdentity.PeerUrlOf(self, _replica.Options.PeerTls is not null);
        var isFull = _replica.Read(machine => machine.Store.Bytes > _replica.Options.QuotaBytes
            && !machine.Alarms.Contains((_replica.Id, AlarmType.Nospace)));
        try
        {
            if (mine is not null && !(mine.Name == name && mine.ClientURLs.Count == 1 && mine.ClientURLs[0] == url))
            {
                var attributes = new MemberAttributes { Id = _replica.Id, Name = name };
                attributes.ClientUrls.Add(url);
                await _replica.ProposeAsync(CommandKind.MemberAttributes, attributes).ConfigureAwait(false);
            }
            if (mine is not null && peerUrl is not null && !mine.PeerURLs.Contains(peerUrl))
            {
                // A group of one that was given a port for others since it began.
                var moved = new Member(mine);
                moved.PeerURLs.Clear();
                moved.PeerURLs.Add(peerUrl);
                await _replica.ChangeMembersAsync(MemberChange.Types.Kind.Update, moved).ConfigureAwait(false);
            }
            if (!isFull)
                return;
            await _replica.ProposeAsync(CommandKind.Alarm, new AlarmRequest
            {
                Action = AlarmRequest.Types.AlarmAction.Activate, MemberID = _replica.Id, Alarm = AlarmType.Nospace,
            }).ConfigureAwait(false);
        }
        catch (StoreException error)
        {
            LogNotPublished(_logger, error.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "lease {Lease:x} was not revoked yet: {Reason}")]
    private static partial void LogNotRevoked(ILogger logger, long lease, string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "not published yet: {Reason}")]
    private static partial void LogNotPublished(ILogger logger, string reason);
}

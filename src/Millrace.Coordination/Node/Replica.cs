using System.Security.Cryptography;
using Google.Protobuf;
using Microsoft.Extensions.Logging;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Snapshots;
using Millrace.Coordination.Store;
using Millrace.Coordination.Watches;
using Millrace.Coordination.Wire;
using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Raft.Log;
using Millrace.Raft.Messages;
using Millrace.Raft.Transport;
using Millrace.Storage.Files;

namespace Millrace.Coordination.Node;

/// <summary>
/// A running member without its client port: the core with its loop, log, applier, snapshots and connections, and what services need of
/// them: to propose, to read, to ask the leader.
/// </summary>
internal sealed partial class Replica : IPeerReceiver, IAsyncDisposable
{
    private readonly CoordinationOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly FolderLock? _lock;
    private readonly MemberStorage _storage;
    private readonly PeerTransport _transport;
    private readonly TlsIdentity? _peerTls;
    private readonly LogWriter _writer;
    private readonly SnapshotWorker _snapshots;
    private readonly Applier _applier;
    private readonly RaftLoop _loop;
    private readonly PendingRequests _pending;
    private readonly ElectionHistory _elections;
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _nextRequest;

    private Replica(
        CoordinationOptions options, Identity identity, FolderLock? folderLock, MemberStorage storage, TimeProvider time, ILogger logger)
    {
        _options = options;
        _time = time;
        _logger = logger;
        _lock = folderLock;
        _storage = storage;
        Id = identity.MemberId;
        _elections = new ElectionHistory(time);
        // Numbers of requests never come again, not even after a restart: old commands in the log must complete no new request.
        _nextRequest = time.GetUtcNow().ToUnixTimeMilliseconds() << 20;
        Machine = new CoordinationMachine();
        Machine.Begin(identity.ClusterId, identity.FirstMembers);
        var configuration = storage.Log.Base.Configuration;
        using (var snapshot = storage.Snapshots.OpenNewest())
        {
            if (snapshot is not null)
            {
                Machine.Load(snapshot.Index, snapshot.Term, snapshot);
                configuration = snapshot.Configuration;
            }
        }
        Leases = new LeaseKeeper(time);
        _pending = new PendingRequests(options.MaxPendingRequests);
        _peerTls = options.PeerTls is null ? null : TlsIdentity.Load(options.PeerTls, "TLS between members");
        _transport = new PeerTransport(identity.ClusterId, new MemberId(Id), this, time, logger, new PeerTransportOptions { Tls = _peerTls });
        _writer = new LogWriter(storage.Log, time, options.QuickFlush, Written, Fail);
        _snapshots = new SnapshotWorker(storage.Snapshots, time, Fail) { Post = action => _loop!.Post(action) };
        _applier = new Applier(Machine, storage.Snapshots, configuration, options, Id, _pending, time, Fail)
        {
            Worker = _snapshots,
            Compacted = Compacted,
            // In Multi-Paxos what an old leader alone accepted may still be chosen: whoever proposed it must not do so again.
            TermBegan = term =>
            {
                if (options.Consensus == ConsensusAlgorithm.Raft)
                    _loop!.TermBegan(term);
            },
            MembersChanged = MembersChanged,
        };
        Watches = new WatchHub(Machine, _applier.Gate);
        Machine.Changed = Watches.Changed;
        Machine.LeaseGranted = Leases.Granted;
        Machine.LeaseRevoked = Leases.Revoked;
        Calls = new LeaderCalls(this, time, options.RequestTimeout);
        var seed = BitConverter.ToInt32(RandomNumberGenerator.GetBytes(4));
        var now = (long)(time.GetTimestamp() * (1e6 / time.TimestampFrequency));
        var core = new RaftCore(
            new MemberId(Id), storage.State(), options.Raft with { LeaseReads = options.Reads == ReadMode.Lease, Algorithm = options.Consensus }, storage.Log, new Random(seed), now);
        _loop = new RaftLoop(core, time, _pending, options.HoldBack, Fail)
        {
            Send = _transport.Send, FlushSends = _transport.Flush, SendAside = _transport.Send, Writer = _writer, Applier = _applier, Snapshots = _snapshots,
            RoleChanged = RoleChanged, Healed = () => _writer.After(Healed), RunsAhead = options.Speculates,
        };
    }

    public ulong Id { get; }

    public ulong ClusterId => Machine.ClusterId;

    public CoordinationOptions Options => _options;

    public CoordinationMachine Machine { get; }

    public WatchHub Watches { get; }

    public LeaseKeeper Leases { get; }

    public LeaderCalls Calls { get; }

    /// <summary>Takes what other members say about sessions.</summary>
    public Action<MemberId, ReadOnlyMemory<byte>>? SessionReceived { get; set; }

    public TimeProvider Time => _time;

    public RaftStatus Status => _loop.Status;

    public long AppliedIndex => _applier.AppliedIndex;

    public CommitToVisible Visible => _applier.Visible;

    public long LogBytes => _storage.Log.Bytes;

    /// <summary>Some request or lease waits for its time to be over.</summary>
    public bool HasChores => !_pending.IsEmpty || Leases.Any || _loop.HasReads;

    /// <summary>The group knows this member's name.</summary>
    public bool IsPublished => Read(machine => machine.FindMember(Id)?.Name == _options.Name);

    /// <summary>What was damaged, while this member gets it again from the others; else null.</summary>
    public string? Healing => _storage.Healing?.Damage;

    /// <summary>Times that this process mended its log from the others.</summary>
    public int Heals { get; private set; }

    public long LogFlushes => _storage.Log.Flushes;

    public ElectionHistory Elections => _elections;

    public int PeerPort { get; private set; } = -1;

    /// <summary>Fails when the member can go on no more.</summary>
    public Task Completion => _completion.Task;

    public static async Task<Replica> StartAsync(
        CoordinationOptions options, IFileSystem files, TimeProvider time, ILogger logger, CancellationToken cancel)
    {
        options.Validate();
        files.CreateFolder(options.DataFolder);
        var folderLock = files is DiskFileSystem ? FolderLock.Take(options.DataFolder) : null;
        try
        {
            var identity = await NodeIdentity.OpenAsync(files, options, cancel).ConfigureAwait(false);
            var members = identity.Joined
                ? Configuration.Empty
                : Configuration.Of(identity.FirstMembers.Select(m => new MemberId(m.ID)));
            var storage = OpenStorage(files, options, identity, members);
            var replica = new Replica(options, identity, folderLock, storage, time, logger);
            if (replica.Healing is { } damage)
                LogHealing(logger, replica.Id, damage);
            if (options.PeerPort >= 0 && (options.Members.Count > 0 || options.PeerPort > 0))
                replica.PeerPort = replica._transport.Listen(new System.Net.IPEndPoint(options.Address, options.PeerPort));
            replica.MembersChanged();
            replica._applier.Start();
            replica._loop.Start();
            return replica;
        }
        catch
        {
            folderLock?.Dispose();
            throw;
        }
    }

    /// <summary>Replicates a command and returns what it came to.</summary>
    /// <param name="isLight">The caller goes on quickly once it has the answer, and may do so on the thread that applies.</param>
    /// <exception cref="StoreException">It failed, or its outcome is unknown: then code 14 and "request timed out".</exception>
    public async Task<IMessage> ProposeAsync(CommandKind kind, IMessage request, string user = "", bool isLight = false)
    {
        var id = NextRequestId();
        var data = Command.Encode(kind, Id, id, Machine.Auth.Revision, user, request);
        if (data.Length > _options.MaxRequestBytes + 300)
            throw StoreErrors.RequestTooLarge;
        var pending = new PendingRequest(id, data, DeadlineFromNow(), isLight);
        _pending.Add(pending);
        _loop.Propose(pending);
        var result = await pending.Done.ConfigureAwait(false);
        return result.Response ?? throw new StoreException(result.Error!.Code, result.Error.Message);
    }

    /// <summary>Waits until this member has applied all that was acknowledged anywhere before this call.</summary>
    /// <exception cref="StoreException">The group did not answer in time.</exception>
    /// <param name="mode">Another way than the member's own.</param>
    /// <param name="isLight">The caller's read is quick and may run on the thread that found out that it can.</param>
    public ValueTask WaitForReadAsync(ReadMode? mode = null, bool isLight = false) =>
        _loop.WaitForReadAsync(byQuorum: (mode ?? _options.Reads) == ReadMode.Quorum, isLight);

    /// <summary>Looks at the state, with no entry applied meanwhile.</summary>
    public T Read<T>(Func<CoordinationMachine, T> look)
    {
        _applier.Gate.EnterReadLock();
        try
        {
            return look(Machine);
        }
        finally
        {
            _applier.Gate.ExitReadLock();
        }
    }

    public ResponseHeader Header(long revision) =>
        new() { ClusterId = ClusterId, MemberId = Id, Revision = revision, RaftTerm = (ulong)Status.Term };

    /// <summary>Runs something with the core on its thread.</summary>
    public Task<T> WithCoreAsync<T>(Func<RaftCore, long, T> act)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        _loop.Post((core, now) =>
        {
            try
            {
                done.SetResult(act(core, now));
            }
            catch (Exception error) when (error is ArgumentException or StoreException)
            {
                done.SetException(error);
            }
        });
        return done.Task;
    }

    /// <summary>Has the leader change the members, and waits until the change is applied here.</summary>
    /// <exception cref="StoreException">It was refused, or there is no leader.</exception>
    public async Task ChangeMembersAsync(MemberChange.Types.Kind kind, Member member)
    {
        var change = new MemberChange { Kind = kind, Member = member, RequestId = NextRequestId(), Origin = Id };
        var applied = ExpectAsync(change.RequestId);
        await Calls.AskAsync(new LeaderCall { Change = change }).ConfigureAwait(false);
        await applied.ConfigureAwait(false);
    }

    /// <summary>Waits for a change of members that carries this number to be applied here.</summary>
    private Task<ApplyResult> ExpectAsync(ulong requestId)
    {
        var pending = new PendingRequest(requestId, default, DeadlineFromNow(), isLight: false);
        _pending.Add(pending);
        return pending.Done;
    }

    public ulong NextRequestId() => (ulong)Interlocked.Increment(ref _nextRequest);

    public bool SendAside(MemberId to, byte channel, ReadOnlyMemory<byte> content) => _transport.Send(to, channel, content);

    /// <summary>
    /// The state at this moment as etcd's database, in a file that is gone when it is closed; entries go on being applied while it is written, and nothing waits
    /// for whoever reads it.
    /// </summary>
    /// <exception cref="IOException">The disk has no room for it, or failed.</exception>
    public Stream ExportSnapshot()
    {
        var room = new DriveInfo(Path.GetFullPath(_options.DataFolder)).AvailableFreeSpace;
        // A member whose disk is full stops: a copy for somebody else must not be what fills it. Sorting may need as much again.
        var needed = (2 * Machine.Store.Bytes) + (64 << 20);
        if (room < needed)
            throw new IOException($"a snapshot needs up to {needed >> 20} MiB of room in {_options.DataFolder}, and there are {room >> 20}");
        var file = CreateScratch();
        try
        {
            _applier.Capture((state, store) => EtcdSnapshotWriter.Write(state, store, _applier.Gate, file, CreateScratch));
            file.Position = 0;
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>What etcd's HashKV gives for a revision, 0 for the newest, and which are the newest and the compacted ones.</summary>
    /// <exception cref="StoreException">The revision is compacted or still to come.</exception>
    public (uint Hash, long Revision, long Compacted) HashKv(long revision)
    {
        (uint, long, long) result = default;
        _applier.Capture((state, store) =>
        {
            var (newest, compacted) = (state.Header.Revision, state.Header.CompactedRevision);
            if (revision > newest)
                throw StoreErrors.FutureRevision;
            if (revision > 0 && revision < compacted)
                throw StoreErrors.Compacted;
            result = (EtcdHash.Of(state, store, _applier.Gate, revision == 0 ? newest : revision, CreateScratch), newest, compacted);
        });
        return result;
    }

    private FileStream CreateScratch()
    {
        var file = new FileStream(
            Path.Combine(_options.DataFolder, $"scratch-{NextRequestId():x}"), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Read | FileShare.Delete,
            1 << 16, FileOptions.DeleteOnClose);
        // Not even a crash leaves it behind where an open file needs no name.
        if (!OperatingSystem.IsWindows())
            File.Delete(file.Name);
        return file;
    }

    public void RequestSnapshot() => _applier.RequestSnapshot();

    /// <summary>Requests that waited too long are given up, with their outcome unknown.</summary>
    public void Sweep()
    {
        var now = _time.GetTimestamp();
        _pending.FailOlderThan(now, StoreErrors.Timeout);
        _loop.FailReadsOlderThan(now - (long)(_options.RequestTimeout.TotalSeconds * _time.TimestampFrequency));
    }

    public void Receive(Message message) => _loop.Receive(message);

    public void Receive(MemberId from, byte channel, ReadOnlyMemory<byte> content)
    {
        switch (channel)
        {
            case NodeChannels.Proposals:
                _loop.Forwarded(ForwardedProposals.Decode(from, content));
                break;
            case NodeChannels.LeaderCall:
                Calls.Answer(from, LeaderCall.Parser.ParseFrom(content.Span));
                break;
            case NodeChannels.LeaderReply:
                Calls.Complete(LeaderReply.Parser.ParseFrom(content.Span));
                break;
            case NodeChannels.Sessions:
                SessionReceived?.Invoke(from, content);
                break;
        }
    }

    public void Lost(MemberId from) => _loop.ConnectionLost(from);

    public byte[] Answer(ReadOnlyMemory<byte> question)
    {
        // Whoever asks has read the group's addresses somewhere; what it is told is what any client may list.
        var answer = new JoinAnswer { ClusterId = ClusterId };
        var asks = JoinQuestion.Parser.ParseFrom(question.Span).MemberId;
        Read(machine =>
        {
            answer.Members.AddRange(machine.Members);
            answer.WasRemoved = machine.WasRemoved(asks);
            return true;
        });
        return answer.ToByteArray();
    }

    public async ValueTask DisposeAsync()
    {
        _loop.Dispose();
        _applier.Dispose();
        _writer.Dispose();
        _snapshots.Dispose();
        await _transport.DisposeAsync().ConfigureAwait(false);
        _pending.FailAll(StoreErrors.Stopped);
        _storage.Dispose();
        _lock?.Dispose();
        _completion.TrySetResult();
    }

    /// <summary>Where others have what this member may lose, damage is mended; alone it is refused.</summary>
    private static MemberStorage OpenStorage(IFileSystem files, CoordinationOptions options, Identity identity, Configuration members)
    {
        var folder = Path.Combine(options.DataFolder, "raft");
        var log = options.Log with { IsBySlot = options.Consensus != ConsensusAlgorithm.Raft };
        var hasOthers = identity.Joined || Math.Max(identity.FirstMembers.Count, options.Members.Count) > 1;
        return hasOthers
            ? MemberStorage.OpenOrHeal(files, folder, members, log)
            : MemberStorage.Open(files, folder, members, log);
    }

    private void Healed()
    {
        _storage.Healed();
        Heals++;
        LogHealed(_logger, Id, _storage.Log.LastIndex);
    }

    private long DeadlineFromNow() => _time.GetTimestamp() + (long)(_options.RequestTimeout.TotalSeconds * _time.TimestampFrequency);

    private void Written(IReadOnlyList<LogWrite> writes)
    {
        LogWrite? last = null;
        foreach (var write in writes)
        {
            foreach (var message in write.MessagesAfter)
                _transport.Send(message);
            last = write.IsEmpty ? last : write;
        }
        // The others first: they wait for it, and this member's own part may go far.
        _transport.Flush();
        if (last is not null)
            _loop.Persisted(last);
    }

    private void Compacted(long snapshotIndex, long keepAfter)
    {
        _loop.Post((core, _) => core.Compact(snapshotIndex, keepAfter));
        _writer.Compact(keepAfter);
    }

    /// <summary>
    /// Asks the others whether this member was removed, which it cannot know when it was cut off or down at that time: nobody sends a member that is none any
    /// more what was decided. Ids are never given again, so one who has applied the removal is enough.
    /// </summary>
    public async Task AskIfRemovedAsync(CancellationToken cancel)
    {
        var question = new JoinQuestion { MemberId = Id }.ToByteArray();
        foreach (var member in Read(machine => machine.Members.Where(m => m.ID != Id).ToArray()))
        {
            if (member.PeerURLs.Count == 0 || !Uri.TryCreate(member.PeerURLs[0], UriKind.Absolute, out var url))
                continue;
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            patience.CancelAfter(_options.AskIfRemovedAfter);
            try
            {
                var answer = JoinAnswer.Parser.ParseFrom(await PeerQuestion.AskAsync(url.Host, url.Port, question, _peerTls, patience.Token).ConfigureAwait(false));
                if (answer.ClusterId != ClusterId || !answer.WasRemoved)
                    continue;
                Fail(Removed());
                return;
            }
            catch (Exception error) when (error is IOException or OperationCanceledException or InvalidDataException or InvalidProtocolBufferException)
            {
                // Down too, or busy: the next may know, and this one is asked again.
            }
        }
    }

    private static InvalidOperationException Removed() => new("this member was removed from its group; its data folder is of no use any more");

    private void MembersChanged()
    {
        var members = Read(machine => machine.Members.ToArray());
        foreach (var member in members)
        {
            if (member.PeerURLs.Count > 0 && Uri.TryCreate(member.PeerURLs[0], UriKind.Absolute, out var url))
                _transport.SetPeer(new MemberId(member.ID), url.Host, url.Port);
        }
        if (Read(machine => machine.WasRemoved(Id)))
            Fail(Removed());
    }

    private void RoleChanged(RaftStatus status)
    {
        LogRole(_logger, Id, status.Role, status.Term, status.Leader);
        _elections.Note(status);
        if (status.Role == Role.Leader)
        {
            var leases = Read(machine => machine.Store.Leases.All.Select(l => (l.Id, l.TtlSeconds)).ToArray());
            Leases.Promote(leases, _options.Raft.ElectionTimeoutMax);
        }
        else
        {
            Leases.Demote();
        }
    }

    private void Fail(Exception error)
    {
        if (!_completion.TrySetException(error))
            return;
        LogFailed(_logger, Id, error);
        _pending.FailAll(StoreErrors.Stopped);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "member {Member:x} is {Role} in term {Term}, the leader is {Leader}")]
    private static partial void LogRole(ILogger logger, ulong member, Role role, long term, MemberId leader);

    [LoggerMessage(Level = LogLevel.Warning, Message = "member {Member:x} heals: {Damage}. It gets what it may have lost from the others and does not vote until then")]
    private static partial void LogHealing(ILogger logger, ulong member, string damage);

    [LoggerMessage(Level = LogLevel.Information, Message = "member {Member:x} is healed: it has all again up to entry {Index} and votes")]
    private static partial void LogHealed(ILogger logger, ulong member, long index);

    [LoggerMessage(Level = LogLevel.Critical, Message = "member {Member:x} stops")]
    private static partial void LogFailed(ILogger logger, ulong member, Exception error);
}

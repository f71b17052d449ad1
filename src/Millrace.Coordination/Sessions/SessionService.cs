using Google.Protobuf;
using Millrace.Coordination.Etcd;
using Millrace.Coordination.Grpc;
using Millrace.Coordination.Node;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;
using Microsoft.Extensions.Logging;
using Millrace.Raft;
using Millrace.Storage.RocksDb;

namespace Millrace.Coordination.Sessions;

/// <summary>millrace.Sessions: the shell around <see cref="SessionCore"/>, over the members' own connections. One lock, since every write is flushed anyway.</summary>
internal sealed partial class SessionService : IDisposable
{
    private static readonly TimeSpan TickEvery = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan HandOverEvery = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan PurgeEvery = TimeSpan.FromMinutes(10);
    private readonly Lock _lock = new();
    private readonly Replica _replica;
    private readonly Callers _callers;
    private readonly ILogger _logger;
    private readonly string _folder;
    private RocksSessionDisk? _disk;
    private SessionCore? _core;
    private readonly Dictionary<long, TaskCompletionSource<SessionOutcome>> _waiting = [];
    private readonly ITimer _timer;
    private long _handOverAt;
    private long _purgeAt;
    private bool _isDisposed;

    public SessionService(Replica replica, Callers callers, ILogger logger)
    {
        _logger = logger;
        _replica = replica;
        _callers = callers;
        _folder = Path.Combine(replica.Options.DataFolder, "sessions");
        replica.SessionReceived = Received;
        _timer = replica.Time.CreateTimer(_ => Tick(), null, TickEvery, TickEvery);
    }

    /// <summary>Opened when sessions are first used, since few groups keep any. Under the lock.</summary>
    private SessionCore Core
    {
        get
        {
            if (_core is null)
            {
                _disk = new RocksSessionDisk(_folder);
                // A thousand numbers a microsecond would be needed to meet those of an earlier life.
                _core = new SessionCore(_replica.Id, _disk, WallMillis << 20);
            }
            return _core;
        }
    }

    public void Register(GrpcServer server)
    {
        server.Unary("/millrace.Sessions/Put", SessionPutRequest.Parser, PutAsync);
        server.Unary("/millrace.Sessions/Get", SessionGetRequest.Parser, GetAsync);
    }

    public void Dispose()
    {
        _timer.Dispose();
        lock (_lock)
        {
            _isDisposed = true;
            foreach (var waiting in _waiting.Values)
                waiting.TrySetException(StoreErrors.Stopped);
            _waiting.Clear();
            _disk?.Dispose();
        }
    }

    private async ValueTask<SessionPutResponse> PutAsync(GrpcCall call, SessionPutRequest request)
    {
        _callers.Require(call);
        Check(request.Key);
        var quorum = Quorum(request.Write, 0);
        var now = WallMillis;
        var expires = request.TtlSeconds > 0 ? now + (request.TtlSeconds * 1000) : 0;
        // Without the type, null would be an empty value.
        var value = request.IsDeletion ? (ReadOnlyMemory<byte>?)null : request.Value.Memory;
        var outcome = await RunAsync(members => Core.Put(now, request.Key, value, expires, quorum, members, Deadline)).ConfigureAwait(false);
        if (!outcome.IsEnough)
            throw new StoreException(14, $"only {outcome.Answers} of {quorum.Write} copies were written in time; a read may find the write or not");
        return new SessionPutResponse { Answers = outcome.Answers, Millis = outcome.Version!.Time.Millis };
    }

    private async ValueTask<SessionGetResponse> GetAsync(GrpcCall call, SessionGetRequest request)
    {
        _callers.Require(call);
        Check(request.Key);
        var quorum = Quorum(0, request.Read);
        var outcome = await RunAsync(members => Core.Get(request.Key, quorum, members, Deadline)).ConfigureAwait(false);
        if (!outcome.IsEnough)
            throw new StoreException(14, $"only {outcome.Answers} of {quorum.Read} copies answered in time");
        var response = new SessionGetResponse { Answers = outcome.Answers };
        if (outcome.Version is not { } version || version.IsGone(WallMillis))
            return response;
        response.IsFound = true;
        response.Value = ByteString.CopyFrom(version.Value!.Value.Span);
        response.Millis = version.Time.Millis;
        response.ExpiresAtMillis = version.ExpiresAtMillis;
        return response;
    }

    private async Task<SessionOutcome> RunAsync(Func<IReadOnlyCollection<ulong>, long> begin)
    {
        var members = Members();
        TaskCompletionSource<SessionOutcome> done;
        lock (_lock)
        {
            if (_isDisposed)
                throw new StoreException(14, "sessions on this member have stopped");
            done = new TaskCompletionSource<SessionOutcome>(TaskCreationOptions.RunContinuationsAsynchronously);
            Guard(() =>
            {
                _waiting[begin(members)] = done;
                CarryOut();
            });
            if (_isDisposed)
                throw new StoreException(14, "sessions on this member have stopped");
        }
        return await done.Task.ConfigureAwait(false);
    }

    private void Received(MemberId from, ReadOnlyMemory<byte> content)
    {
        var message = SessionCodec.Decode(from.Value, _replica.Id, content);
        lock (_lock)
        {
            if (_isDisposed)
                return;
            Guard(() =>
            {
                Core.Step(message);
                CarryOut();
            });
        }
    }

    private void Tick()
    {
        if (_core is null && !Directory.Exists(_folder))
            return;
        var members = Members();
        lock (_lock)
        {
            if (_isDisposed)
                return;
            Guard(() => DoChores(members));
        }
    }

    private void DoChores(ulong[] members)
    {
        var core = Core;
        var now = _replica.Time.GetTimestamp();
        core.Tick(now);
        if (now >= _handOverAt)
        {
            _handOverAt = now + After(HandOverEvery);
            core.HandOver(members.Where(m => m != _replica.Id));
        }
        if (now >= _purgeAt)
        {
            // A day is longer than any member should be away without being told what it missed.
            _purgeAt = now + After(PurgeEvery);
            _disk!.Purge(WallMillis - (24 * 3_600_000L));
        }
        CarryOut();
    }

    /// <summary>After a failed write nobody knows what is on the disk: sessions end here, the store goes on.</summary>
    private void Guard(Action act)
    {
        try
        {
            act();
        }
        catch (RocksException error)
        {
            _isDisposed = true;
            LogFailed(_logger, _folder, error);
            foreach (var waiting in _waiting.Values)
                waiting.TrySetException(new StoreException(14, $"sessions on this member have stopped: {error.Message}"));
            _waiting.Clear();
        }
    }

    [LoggerMessage(Level = LogLevel.Critical, Message = "sessions in {Folder} stop")]
    private static partial void LogFailed(ILogger logger, string folder, Exception error);

    private void CarryOut()
    {
        foreach (var message in Core.TakeMessages())
            _replica.SendAside(new MemberId(message.To), NodeChannels.Sessions, SessionCodec.Encode(message));
        foreach (var outcome in Core.TakeOutcomes())
        {
            if (_waiting.Remove(outcome.Operation, out var waiting))
                waiting.TrySetResult(outcome);
        }
    }

    private SessionQuorum Quorum(int write, int read)
    {
        var set = _replica.Options.Sessions.In(Members().Length);
        var quorum = set with { Write = write > 0 ? write : set.Write, Read = read > 0 ? read : set.Read };
        try
        {
            quorum.Validate();
            return quorum;
        }
        catch (ArgumentException error)
        {
            throw new StoreException(3, error.Message);
        }
    }

    private static void Check(string key)
    {
        if (key.Length is 0 or > 1024)
            throw new StoreException(3, "a session's key has 1 to 1,024 characters");
    }

    private ulong[] Members() => _replica.Read(static machine => machine.Members.Where(static m => !m.IsLearner).Select(static m => m.ID).ToArray());

    private long WallMillis => _replica.Time.GetUtcNow().ToUnixTimeMilliseconds();

    private long Deadline => _replica.Time.GetTimestamp() + After(_replica.Options.SessionTimeout);

    private long After(TimeSpan span) => (long)(span.TotalSeconds * _replica.Time.TimestampFrequency);
}

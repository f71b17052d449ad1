using Microsoft.Extensions.Logging;
using Millrace.Coordination.Node;
using Millrace.Coordination.Store;
using Millrace.Raft;
using Millrace.Storage.RocksDb;

namespace Millrace.Coordination.Sessions;

/// <summary>
/// The shell around <see cref="SessionCore"/>: one lock, the members' own connections, and a thread that flushes the disk, once for all that was put while the
/// flush before it ran. Thread-safe.
/// </summary>
internal sealed partial class SessionMember : IDisposable
{
    /// <summary>Hints are counted up to this many.</summary>
    public const int MostCounted = 10_000;

    private static readonly TimeSpan TickEvery = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan HandOverEvery = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan PurgeEvery = TimeSpan.FromMinutes(10);

    /// <summary>Deleted and expired sessions are kept so long: no member should be away for longer without being told what it missed.</summary>
    private static readonly TimeSpan GoneKept = TimeSpan.FromDays(1);

    /// <summary>Hints that a member who is back is given at once.</summary>
    private const int MostHandedOver = 1000;

    /// <summary>Sessions that are forgotten in one round, and in one turn under the lock.</summary>
    private const int MostForgotten = 50_000;
    private const int ForgottenAtOnce = 500;

    private readonly Lock _lock = new();
    private readonly Replica _replica;
    private readonly ILogger _logger;
    private readonly string _folder;
    private readonly Dictionary<long, TaskCompletionSource<SessionOutcome>> _waiting = [];
    private readonly Dictionary<ulong, List<SessionMessage>> _leaving = [];
    private readonly AutoResetEvent _work = new(initialState: false);
    private readonly ITimer _timer;
    private RocksSessionDisk? _disk;
    private SessionCore? _core;
    private Thread? _flusher;
    private Task _forgetting = Task.CompletedTask;
    private long _handOverAt;
    private long _purgeAt;
    private long _flushes;
    private string? _failure;
    private bool _isStopped;

    public SessionMember(Replica replica, ILogger logger)
    {
        _logger = logger;
        _replica = replica;
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
                _flusher = new Thread(FlushAgainAndAgain) { Name = "sessions", IsBackground = true };
                _flusher.Start();
            }
            return _core;
        }
    }

    /// <summary>Writes a session to W of its homes.</summary>
    /// <param name="key">1 to 1,024 characters.</param>
    /// <param name="value">Null deletes it.</param>
    /// <param name="ttlSeconds">Gone after that; 0 for never.</param>
    /// <param name="write">W; 0: as the group is set.</param>
    /// <exception cref="StoreException">Fewer copies than that were written in time; a read may find the write or not.</exception>
    public async Task<SessionOutcome> PutAsync(string key, ReadOnlyMemory<byte>? value, long ttlSeconds, int write)
    {
        CheckKey(key);
        var quorum = Quorum(write, 0);
        var now = WallMillis;
        var expires = ttlSeconds > 0 ? now + (ttlSeconds * 1000) : 0;
        var outcome = await RunAsync(members => Core.Put(now, key, value, expires, quorum, members, Deadline)).ConfigureAwait(false);
        return outcome.IsEnough ? outcome
            : throw new StoreException(14, $"only {outcome.Answers} of {quorum.Write} copies were written in time; a read may find the write or not");
    }

    /// <summary>The newest of R of a session's homes; its version is null when there is none, or it is deleted or expired.</summary>
    /// <exception cref="StoreException">Fewer copies than that answered in time.</exception>
    public async Task<SessionOutcome> GetAsync(string key, int read)
    {
        CheckKey(key);
        var quorum = Quorum(0, read);
        var outcome = await RunAsync(members => Core.Get(key, quorum, members, Deadline)).ConfigureAwait(false);
        if (!outcome.IsEnough)
            throw new StoreException(14, $"only {outcome.Answers} of {quorum.Read} copies answered in time");
        return outcome.Version is { } version && version.IsGone(WallMillis) ? outcome with { Version = null } : outcome;
    }

    public SessionStatus Status()
    {
        var members = Members();
        lock (_lock)
        {
            var quorum = _replica.Options.Sessions.In(members.Length);
            if (_core is null || _isStopped)
                return new SessionStatus(quorum, 0, 0, 0, 0, 0, 0, [], _failure);
            var hints = members.Where(m => m != _replica.Id).Select(m => new SessionHints(m, _disk!.CountHints(m, MostCounted))).Where(static h => h.Count > 0);
            return new SessionStatus(quorum, _core.Puts, _core.Gets, _core.Repairs, _core.Handoffs, _core.Written, _flushes, [.. hints], _failure);
        }
    }

    public void Dispose()
    {
        _timer.Dispose();
        lock (_lock)
            Stop("sessions on this member have stopped");
        _work.Set();
        _flusher?.Join();
        _forgetting.Wait();
        _disk?.Dispose();
        _work.Dispose();
    }

    private async Task<SessionOutcome> RunAsync(Func<IReadOnlyCollection<ulong>, long> begin)
    {
        var members = Members();
        var done = new TaskCompletionSource<SessionOutcome>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            Guard(() =>
            {
                _waiting[begin(members)] = done;
                CarryOut();
            });
            if (_isStopped)
                throw new StoreException(14, _failure!);
        }
        return await done.Task.ConfigureAwait(false);
    }

    private void Received(MemberId from, ReadOnlyMemory<byte> content)
    {
        var messages = SessionCodec.DecodeAll(from.Value, _replica.Id, content);
        lock (_lock)
        {
            Guard(() =>
            {
                foreach (var message in messages)
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
            Guard(() =>
            {
                var now = _replica.Time.GetTimestamp();
                Core.Tick(now);
                if (now >= _handOverAt)
                {
                    _handOverAt = now + After(HandOverEvery);
                    Core.HandOver(members.Where(m => m != _replica.Id), MostHandedOver);
                }
                CarryOut();
                if (now >= _purgeAt && _forgetting.IsCompleted)
                {
                    _purgeAt = now + After(PurgeEvery);
                    _forgetting = Task.Run(ForgetOld);
                }
            });
        }
    }

    private void FlushAgainAndAgain()
    {
        while (true)
        {
            _work.WaitOne();
            bool flushes;
            lock (_lock)
            {
                if (_isStopped)
                    return;
                flushes = _core!.BeginFlush();
            }
            try
            {
                if (flushes)
                    _disk!.Flush();
            }
            catch (RocksException error)
            {
                lock (_lock)
                    Fail(error);
                return;
            }
            lock (_lock)
            {
                if (!flushes || _isStopped)
                    continue;
                _flushes++;
                Guard(() =>
                {
                    _core.EndFlush();
                    CarryOut();
                });
            }
        }
    }

    /// <summary>In turns, so that those who read and write go between.</summary>
    private void ForgetOld()
    {
        var before = WallMillis - (long)GoneKept.TotalMilliseconds;
        try
        {
            foreach (var some in _disk!.Gone(before, MostForgotten).Chunk(ForgottenAtOnce))
            {
                lock (_lock)
                {
                    if (_isStopped)
                        return;
                    _disk.Forget(some, before);
                }
            }
        }
        catch (RocksException error)
        {
            lock (_lock)
                Fail(error);
        }
    }

    /// <summary>Sends what is to be sent, one message a member, and tells callers. Under the lock.</summary>
    private void CarryOut()
    {
        foreach (var message in Core.TakeMessages())
        {
            if (!_leaving.TryGetValue(message.To, out var batch))
                _leaving[message.To] = batch = [];
            batch.Add(message);
        }
        foreach (var (member, batch) in _leaving)
        {
            if (batch.Count == 0)
                continue;
            _replica.SendAside(new MemberId(member), NodeChannels.Sessions, SessionCodec.EncodeAll(batch));
            batch.Clear();
        }
        foreach (var outcome in Core.TakeOutcomes())
        {
            if (_waiting.Remove(outcome.Operation, out var waiting))
                waiting.TrySetResult(outcome);
        }
        if (Core.NeedsFlush)
            _work.Set();
    }

    /// <summary>After a failed write nobody knows what is on the disk: sessions end here, the store goes on. Under the lock.</summary>
    private void Guard(Action act)
    {
        if (_isStopped)
            return;
        try
        {
            act();
        }
        catch (RocksException error)
        {
            Fail(error);
        }
    }

    private void Fail(RocksException error)
    {
        if (_isStopped)
            return;
        LogFailed(_logger, _folder, error);
        Stop($"sessions on this member have stopped: {error.Message}");
        _work.Set();
    }

    private void Stop(string why)
    {
        _isStopped = true;
        _failure ??= why;
        foreach (var waiting in _waiting.Values)
            waiting.TrySetException(new StoreException(14, why));
        _waiting.Clear();
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

    private static void CheckKey(string key)
    {
        if (key.Length is 0 or > 1024)
            throw new StoreException(3, "a session's key has 1 to 1,024 characters");
    }

    private ulong[] Members() => _replica.Read(static machine => machine.Members.Where(static m => !m.IsLearner).Select(static m => m.ID).ToArray());

    private long WallMillis => _replica.Time.GetUtcNow().ToUnixTimeMilliseconds();

    private long Deadline => _replica.Time.GetTimestamp() + After(_replica.Options.SessionTimeout);

    private long After(TimeSpan span) => (long)(span.TotalSeconds * _replica.Time.TimestampFrequency);

    [LoggerMessage(Level = LogLevel.Critical, Message = "sessions in {Folder} stop")]
    private static partial void LogFailed(ILogger logger, string folder, Exception error);
}

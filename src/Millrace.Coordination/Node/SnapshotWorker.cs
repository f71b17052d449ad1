using Millrace.Coordination.Machine;
using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Raft.Messages;
using Millrace.Raft.Snapshots;

namespace Millrace.Coordination.Node;

/// <summary>The thread that reads, receives and writes snapshots, so that neither the core nor the applier waits for them.</summary>
internal sealed class SnapshotWorker : IDisposable
{
    /// <summary>Between two pieces of an old snapshot that is deleted.</summary>
    private static readonly TimeSpan RestOfDelete = TimeSpan.FromMilliseconds(25);

    /// <summary>A transfer of which no piece was read for so long is over: the other has loaded it and lacks only entries.</summary>
    private static readonly TimeSpan Sending = TimeSpan.FromSeconds(30);
    private readonly Mailbox<Action> _mailbox = new();
    private readonly TimeProvider _time;
    private readonly SnapshotStore _store;
    private readonly Action<Exception> _failed;
    private readonly Breaks _breaks;
    private readonly Thread _thread;
    private long _lastRead;
    private bool _hasOld = true;
    private volatile bool _isStopping;

    public SnapshotWorker(SnapshotStore store, TimeProvider time, Action<Exception> failed)
    {
        _breaks = new Breaks(time);
        _time = time;
        // Nothing was read yet.
        _lastRead = time.GetTimestamp() - (2 * (long)(Sending.TotalSeconds * time.TimestampFrequency));
        _store = store;
        _failed = failed;
        _thread = new Thread(Run) { Name = "raft snapshots", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Tells the core.</summary>
    public required Action<Action<RaftCore, long>> Post { get; init; }

    /// <summary>A snapshot is on its way to another member, which would have to begin anew with the next one.</summary>
    public bool IsSending => _time.GetElapsedTime(Volatile.Read(ref _lastRead)) < Sending;

    public void Read(SnapshotRead read) => _mailbox.Post(() =>
    {
        Volatile.Write(ref _lastRead, _time.GetTimestamp());
        if (_store.ReadPiece(read.Offset, read.MaxBytes) is { } piece)
            Post((core, now) => core.ProvideSnapshotChunk(now, read.To, piece.Snapshot, read.Offset, piece.Data));
    });

    public void Store(SnapshotChunk chunk) => _mailbox.Post(() =>
    {
        var (next, isComplete) = _store.Receive(chunk.Snapshot, chunk.Offset, chunk.Data.Span, _breaks.Take);
        Post((core, now) => core.SnapshotStored(now, chunk.From, chunk.Snapshot, next, isComplete));
    });

    /// <summary>Writes a state of the machine; <paramref name="done"/> is called with the result.</summary>
    public void Save(MachineSnapshot state, Configuration configuration, Action<MachineSnapshot, Stream> write, Action<SnapshotInfo> done) =>
        _mailbox.Post(() =>
        {
            using var stream = _store.Create(state.Index, state.Term, configuration, _breaks.Take);
            write(state, stream);
            var info = stream.Complete();
            _hasOld = true;
            _breaks.Relax();
            done(info);
        });

    /// <summary>The log grows faster than the snapshot that is being written: it rests no more.</summary>
    public void Hurry() => _breaks.Hurry();

    public void Dispose()
    {
        _isStopping = true;
        _breaks.Hurry();
        _mailbox.Wake();
        _thread.Join();
        _mailbox.Dispose();
        _breaks.Dispose();
    }

    private void Run()
    {
        Priority.Lower();
        try
        {
            var deletedAt = _time.GetTimestamp();
            while (!_isStopping)
            {
                _mailbox.Wait(_hasOld ? RestOfDelete : TimeSpan.FromSeconds(1));
                while (!_isStopping && _mailbox.TryTake(out var work))
                {
                    _breaks.Begin();
                    work();
                }
                if (_hasOld && _time.GetElapsedTime(deletedAt) >= RestOfDelete)
                {
                    _hasOld = _store.DeleteSomeOld();
                    deletedAt = _time.GetTimestamp();
                }
            }
        }
        catch (Exception error)
        {
            _failed(error);
        }
    }
}

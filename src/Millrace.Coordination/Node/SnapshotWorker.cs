using Millrace.Coordination.Machine;
using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Raft.Messages;
using Millrace.Raft.Snapshots;

namespace Millrace.Coordination.Node;

/// <summary>The thread that reads, receives and writes snapshots, so that neither the core nor the applier waits for them.</summary>
internal sealed class SnapshotWorker : IDisposable
{
    private readonly Mailbox<Action> _mailbox = new();
    private readonly SnapshotStore _store;
    private readonly Action<Exception> _failed;
    private readonly Breaks _breaks;
    private readonly Thread _thread;
    private volatile bool _isStopping;

    public SnapshotWorker(SnapshotStore store, TimeProvider time, Action<Exception> failed)
    {
        _breaks = new Breaks(time);
        _store = store;
        _failed = failed;
        _thread = new Thread(Run) { Name = "raft snapshots", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Tells the core.</summary>
    public required Action<Action<RaftCore, long>> Post { get; init; }

    public void Read(SnapshotRead read) => _mailbox.Post(() =>
    {
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
            _store.DeleteOld();
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
            while (!_isStopping)
            {
                _mailbox.Wait(TimeSpan.FromSeconds(1));
                while (!_isStopping && _mailbox.TryTake(out var work))
                {
                    _breaks.Begin();
                    work();
                }
            }
        }
        catch (Exception error)
        {
            _failed(error);
        }
    }
}

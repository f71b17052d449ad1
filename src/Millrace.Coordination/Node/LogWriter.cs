using Millrace.Raft.Consensus;
using Millrace.Raft.Log;

namespace Millrace.Coordination.Node;

/// <summary>The thread that makes writes durable: all that wait share one flush. A failure ends the member.</summary>
internal sealed class LogWriter : IDisposable
{
    private static readonly TimeSpan IdleBeforeMark = TimeSpan.FromMilliseconds(200);
    private readonly Mailbox<object> _mailbox = new();
    private readonly RaftLog _log;
    private readonly Action<LogWrite> _written;
    private readonly Action _allWritten;
    private readonly Action<Exception> _failed;
    private readonly Thread _thread;
    private volatile bool _isStopping;

    /// <param name="log">Used by this thread alone, but for reads.</param>
    /// <param name="written">Called once a write and all before it are durable.</param>
    /// <param name="allWritten">Called after that, once for all writes of a flush.</param>
    /// <param name="failed">Called once; nothing is written after.</param>
    public LogWriter(RaftLog log, Action<LogWrite> written, Action allWritten, Action<Exception> failed)
    {
        _allWritten = allWritten;
        _log = log;
        _written = written;
        _failed = failed;
        _thread = new Thread(Run) { Name = "raft log", IsBackground = true };
        _thread.Start();
    }

    public void Write(LogWrite write) => _mailbox.Post(write);

    /// <summary>Done on this thread once all writes handed in before are durable.</summary>
    public void After(Action action) => _mailbox.Post(action);

    /// <summary>Entries up to an index are in a durable snapshot.</summary>
    public void Compact(long index) => _mailbox.Post(index);

    public void Dispose()
    {
        _isStopping = true;
        _mailbox.Wake();
        _thread.Join();
        _mailbox.Dispose();
    }

    private void Run()
    {
        var batch = new List<LogWrite>();
        var after = new List<Action>();
        var isMarked = true;
        try
        {
            while (!_isStopping)
            {
                _mailbox.Wait(isMarked ? TimeSpan.FromSeconds(1) : IdleBeforeMark);
                if (_mailbox.IsEmpty && !isMarked)
                {
                    _log.Mark();
                    isMarked = true;
                }
                while (_mailbox.TryTake(out var item))
                {
                    if (item is LogWrite write)
                    {
                        batch.Add(write);
                        continue;
                    }
                    if (item is Action action)
                        after.Add(action);
                    else
                        _log.CompactTo((long)item);
                }
                if (batch.Count == 0)
                {
                    RunAll(after);
                    continue;
                }
                _log.Append(batch);
                isMarked = false;
                foreach (var write in batch)
                    _written(write);
                _allWritten();
                batch.Clear();
                RunAll(after);
            }
        }
        catch (Exception error)
        {
            // Whatever it was: what is on disk is unknown, so the member must not go on.
            _failed(error);
        }
    }

    private static void RunAll(List<Action> actions)
    {
        foreach (var action in actions)
            action();
        actions.Clear();
    }
}

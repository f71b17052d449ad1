using Millrace.Raft.Consensus;
using Millrace.Raft.Log;

namespace Millrace.Coordination.Node;

/// <summary>
/// Makes writes durable: all that wait share one flush. While flushes are quick the caller does it itself, which spares a request two
/// switches of threads; otherwise a thread does, so that the caller can go on talking to the others. A failure ends the member.
/// </summary>
internal sealed class LogWriter : IDisposable
{
    private static readonly TimeSpan IdleBeforeMark = TimeSpan.FromMilliseconds(200);

    /// <summary>How long the preparing of a segment gives way to a flush under way before it looks again, and how often in a row at most.</summary>
    private static readonly TimeSpan GiveWay = TimeSpan.FromMilliseconds(1);
    private const int MostGiveWays = 8;
    private readonly Mailbox<object> _mailbox = new();
    private readonly Lock _use = new();
    private readonly RaftLog _log;
    private readonly TimeProvider _time;
    private readonly long _quick;
    private readonly Action<IReadOnlyList<LogWrite>> _written;
    private readonly Action<Exception> _failed;
    private readonly Thread _thread;
    private int _handedOver;
    private long _meanFlush;
    private bool _isMarked = true;
    private volatile bool _isStopping;

    /// <param name="log">Used by nobody else, but for reads.</param>
    /// <param name="time">To measure flushes.</param>
    /// <param name="quickFlush">Mean time up to which a caller flushes itself; zero: never.</param>
    /// <param name="written">Called by the thread once these writes and all before them are durable.</param>
    /// <param name="failed">Called once; nothing is written after.</param>
    public LogWriter(
        RaftLog log, TimeProvider time, TimeSpan quickFlush, Action<IReadOnlyList<LogWrite>> written, Action<Exception> failed)
    {
        _log = log;
        _time = time;
        _quick = (long)(quickFlush.TotalSeconds * time.TimestampFrequency);
        _written = written;
        _failed = failed;
        _thread = new Thread(Run) { Name = "raft log", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Makes writes durable before it returns; false, with nothing done, when that is the thread's part. One caller at a time.</summary>
    /// <exception cref="IOException">The disk failed; the log takes no more.</exception>
    public bool TryWriteNow(IReadOnlyList<LogWrite> writes)
    {
        if (Volatile.Read(ref _handedOver) > 0 || Volatile.Read(ref _meanFlush) >= _quick || !_use.TryEnter())
            return false;
        try
        {
            Append(writes);
        }
        finally
        {
            _use.Exit();
        }
        return true;
    }

    public void Write(LogWrite write)
    {
        Interlocked.Increment(ref _handedOver);
        _mailbox.Post(write);
    }

    /// <summary>Done on the thread once all writes handed in before are durable.</summary>
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

    private void Append(IReadOnlyList<LogWrite> writes)
    {
        var before = _time.GetTimestamp();
        var flushes = _log.Flushes;
        _log.Append(writes);
        _isMarked = false;
        if (_log.Flushes > flushes)
            Volatile.Write(ref _meanFlush, _meanFlush + ((_time.GetTimestamp() - before - _meanFlush) / 8));
    }

    private void Run()
    {
        var batch = new List<LogWrite>();
        var after = new List<Action>();
        var rest = TimeSpan.Zero;
        var gaveWay = 0;
        try
        {
            while (!_isStopping)
            {
                _mailbox.Wait(rest > TimeSpan.Zero ? rest : Volatile.Read(ref _isMarked) ? TimeSpan.FromSeconds(1) : IdleBeforeMark);
                if (rest == TimeSpan.Zero || !_mailbox.IsEmpty)
                {
                    lock (_use)
                        WriteAll(batch, after);
                }
                var hasWritten = batch.Count > 0;
                if (hasWritten)
                {
                    Interlocked.Add(ref _handedOver, -batch.Count);
                    _written(batch);
                    batch.Clear();
                }
                foreach (var action in after)
                    action();
                after.Clear();
                if (rest > TimeSpan.Zero && gaveWay < MostGiveWays && (hasWritten || IsWriting()))
                {
                    rest = GiveWay;
                    gaveWay++;
                    continue;
                }
                gaveWay = 0;
                rest = _log.TidySome();
            }
        }
        catch (Exception error)
        {
            // Whatever it was: what is on disk is unknown, so the member must not go on.
            _failed(error);
        }
    }

    /// <summary>A caller's flush is under way.</summary>
    private bool IsWriting()
    {
        if (!_use.TryEnter())
            return true;
        _use.Exit();
        return false;
    }

    private void WriteAll(List<LogWrite> batch, List<Action> after)
    {
        if (_mailbox.IsEmpty && !_isMarked)
        {
            _log.Mark();
            _isMarked = true;
        }
        while (_mailbox.TryTake(out var item))
        {
            if (item is LogWrite write)
                batch.Add(write);
            else if (item is Action action)
                after.Add(action);
            else
                _log.CompactTo((long)item);
        }
        if (batch.Count > 0)
            Append(batch);
    }
}

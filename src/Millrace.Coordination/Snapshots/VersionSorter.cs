using Google.Protobuf;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Snapshots;

/// <summary>
/// Puts versions that come in order of keys into the order of their revisions, with bounded memory: sorted runs go to a scratch file and are merged
/// from there (Knuth, The Art of Computer Programming, volume 3, 5.4).
/// </summary>
internal sealed class VersionSorter(Func<Stream> scratch, long runBytes) : IDisposable
{
    private const int ReadAheadBytes = 64 << 10;
    private readonly List<KeyValue> _run = [];
    private readonly List<(long From, long To)> _runs = [];
    private Stream? _file;
    private long _bytes;

    public void Add(KeyValue version)
    {
        _run.Add(version);
        _bytes += version.Key.Length + version.Value.Length + 64;
        if (_bytes >= runBytes)
            Spill();
    }

    /// <summary>All of them, the oldest first; those of one revision in the order in which they came.</summary>
    public IEnumerable<KeyValue> Sorted()
    {
        if (_runs.Count == 0)
        {
            _run.Sort(static (a, b) => Order(a, b));
            return _run;
        }
        Spill();
        return Merged();
    }

    public void Dispose() => _file?.Dispose();

    // A revision's changes are of different keys.
    private static int Order(KeyValue a, KeyValue b) =>
        a.ModRevision != b.ModRevision ? a.ModRevision.CompareTo(b.ModRevision) : a.Key.Span.SequenceCompareTo(b.Key.Span);

    private void Spill()
    {
        if (_run.Count == 0)
            return;
        _file ??= scratch();
        _run.Sort(static (a, b) => Order(a, b));
        var from = _file.Position;
        foreach (var version in _run)
            version.WriteDelimitedTo(_file);
        _runs.Add((from, _file.Position));
        _run.Clear();
        _bytes = 0;
    }

    private IEnumerable<KeyValue> Merged()
    {
        var queue = new PriorityQueue<RunReader, KeyValue>(Comparer<KeyValue>.Create(static (a, b) => Order(a, b)));
        foreach (var (from, to) in _runs)
        {
            var reader = new RunReader(_file!, from, to, ReadAheadBytes);
            if (reader.MoveNext())
                queue.Enqueue(reader, reader.Current);
        }
        while (queue.TryDequeue(out var reader, out var version))
        {
            yield return version;
            if (reader.MoveNext())
                queue.Enqueue(reader, reader.Current);
        }
    }

    /// <summary>Reads one run, a piece at a time, of the file that all runs share.</summary>
    private sealed class RunReader(Stream file, long from, long to, int pieceBytes)
    {
        private readonly byte[] _piece = new byte[pieceBytes];
        private long _next = from;
        private int _at;
        private int _end;

        public KeyValue Current { get; private set; } = new();

        public bool MoveNext()
        {
            if (_at == _end && _next == to)
                return false;
            uint length = 0;
            for (var shift = 0; ; shift += 7)
            {
                var b = NextByte();
                length |= (uint)(b & 0x7F) << shift;
                if (b < 0x80)
                    break;
            }
            var message = new byte[length];
            var done = Math.Min(message.Length, _end - _at);
            _piece.AsSpan(_at, done).CopyTo(message);
            _at += done;
            file.Position = _next;
            file.ReadExactly(message, done, message.Length - done);
            _next = file.Position;
            Current = KeyValue.Parser.ParseFrom(message);
            return true;
        }

        private byte NextByte()
        {
            if (_at == _end)
            {
                file.Position = _next;
                _end = file.ReadAtLeast(_piece, 1);
                // The run after this one may begin in the piece.
                _end = (int)Math.Min(_end, to - _next);
                _at = 0;
                _next += _end;
            }
            return _piece[_at++];
        }
    }
}

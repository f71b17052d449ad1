using Millrace.Raft.Consensus;

namespace Millrace.Raft.Log;

/// <summary>The outline of a log: where it begins and ends, the term of each entry and the configurations in it. Entries follow without gaps.</summary>
internal sealed class LogHistory
{
    private readonly bool _isBySlot;
    private readonly List<TermRun> _terms = [];
    private readonly List<(long Index, Configuration Configuration)> _configurations = [];

    /// <param name="start">What comes before the first entry.</param>
    /// <param name="isBySlot">Each entry is accepted for itself, as in Multi-Paxos, so that terms need not rise along the log.</param>
    public LogHistory(SnapshotInfo start, bool isBySlot = false)
    {
        _isBySlot = isBySlot;
        Base = start;
        LastIndex = start.Index;
        _configurations.Add((start.Index, start.Configuration));
    }

    /// <summary>Takes over what a member found on its disk; the base must be the same.</summary>
    public void Restore(RecoveredState state)
    {
        _terms.AddRange(state.Terms);
        _configurations.AddRange(state.Configurations);
        LastIndex = state.LastIndex;
    }

    /// <summary>What came before the first entry.</summary>
    public SnapshotInfo Base { get; private set; }

    public long LastIndex { get; private set; }

    public long LastTerm => TermAt(LastIndex);

    /// <summary>The newest configuration in the log.</summary>
    public Configuration Configuration => _configurations[^1].Configuration;

    public long ConfigurationIndex => _configurations[^1].Index;

    public IReadOnlyList<TermRun> Terms => _terms;

    /// <summary>Those after the base's.</summary>
    public IReadOnlyList<(long Index, Configuration Configuration)> Configurations => _configurations[1..];

    /// <summary>The term of an entry; -1 when it is compacted away or not there yet.</summary>
    public long TermAt(long index)
    {
        if (index == Base.Index)
            return Base.Term;
        if (index < Base.Index || index > LastIndex)
            return -1;
        return _terms[RunAt(index)].Term;
    }

    /// <summary>The last entry at or before <paramref name="index"/> whose term is at most <paramref name="term"/>: where logs may agree.</summary>
    public long LastWithTermAtMost(long index, long term)
    {
        index = Math.Min(index, LastIndex);
        while (index > Base.Index)
        {
            var run = _terms[RunAt(index)];
            if (run.Term <= term)
                return index;
            index = run.Index - 1;
        }
        return index;
    }

    /// <summary>The newest configuration at or before an index.</summary>
    public Configuration ConfigurationAt(long index) => _configurations[ConfigurationPlace(index)].Configuration;

    /// <summary>The entry that it is in, or the base.</summary>
    public long ConfigurationIndexAt(long index) => _configurations[ConfigurationPlace(index)].Index;

    /// <summary>
    /// Accepted one by one: the last change of members behind which something was accepted in its term or a later one. Nothing is proposed
    /// behind a change before that is chosen, so it is, and with it all before it. 0: none.
    /// </summary>
    public long LastChangeInForce()
    {
        for (var i = _configurations.Count - 1; i > 0; i--)
        {
            var index = _configurations[i].Index;
            if (index < LastIndex && TermAt(index + 1) >= TermAt(index))
                return index;
        }
        return 0;
    }

    public void Append(in Entry entry)
    {
        if (entry.Index != LastIndex + 1)
            throw new RaftInvariantException($"entry {entry.Index} does not follow {LastIndex}");
        if (entry.Term < LastTerm && !_isBySlot)
            throw new RaftInvariantException($"entry {entry.Index} has term {entry.Term} after term {LastTerm}");
        if (_terms.Count == 0 || _terms[^1].Term != entry.Term)
            _terms.Add(new TermRun(entry.Index, entry.Term));
        if (entry.Kind == EntryKind.Configuration)
            _configurations.Add((entry.Index, ConfigurationEntry.Decode(entry.Data, out _)));
        LastIndex = entry.Index;
    }

    /// <summary>Another entry takes the place of the one with its index; those after it stay.</summary>
    public void Replace(in Entry entry)
    {
        var (index, term) = (entry.Index, entry.Term);
        var place = ConfigurationPlace(index);
        if (place > 0 && _configurations[place].Index == index)
            _configurations.RemoveAt(place--);
        if (entry.Kind == EntryKind.Configuration)
            _configurations.Insert(place + 1, (index, ConfigurationEntry.Decode(entry.Data, out _)));
        var run = RunAt(index);
        var (first, old) = _terms[run];
        if (old == term)
            return;
        var end = run + 1 < _terms.Count ? _terms[run + 1].Index : LastIndex + 1;
        _terms.RemoveAt(run);
        if (index + 1 < end)
            _terms.Insert(run, new TermRun(index + 1, old));
        _terms.Insert(run, new TermRun(index, term));
        if (first < index)
            _terms.Insert(run, new TermRun(first, old));
    }

    /// <summary>Likewise of the one that the log begins after.</summary>
    public void ReplaceBase(long term) => Base = Base with { Term = term };

    /// <summary>Forgets the entries from an index after the base on.</summary>
    public void TruncateFrom(long index)
    {
        while (_terms.Count > 0 && _terms[^1].Index >= index)
            _terms.RemoveAt(_terms.Count - 1);
        while (_configurations.Count > 1 && _configurations[^1].Index >= index)
            _configurations.RemoveAt(_configurations.Count - 1);
        LastIndex = index - 1;
    }

    /// <summary>
    /// The log begins anew after what a snapshot has. Accepted one by one, entries behind that stay: they may have been chosen, whatever term the
    /// snapshot's last one had here, since it may have been accepted again in a later one.
    /// </summary>
    /// <returns>Whether entries stay.</returns>
    public bool ResetTo(SnapshotInfo start)
    {
        if (_isBySlot && start.Index >= Base.Index && start.Index < LastIndex)
        {
            CompactTo(start.Index);
            _configurations[0] = (start.Index, start.Configuration);
            Base = start;
            return true;
        }
        Base = start;
        LastIndex = start.Index;
        _terms.Clear();
        _configurations.Clear();
        _configurations.Add((start.Index, start.Configuration));
        return false;
    }

    /// <summary>The log begins after <paramref name="index"/>, which is in it.</summary>
    public void CompactTo(long index)
    {
        if (index <= Base.Index)
            return;
        var run = RunAt(index);
        var term = _terms[run].Term;
        var configuration = ConfigurationAt(index);
        _terms.RemoveRange(0, run);
        if (index == LastIndex || (_terms.Count > 1 && _terms[1].Index == index + 1))
            _terms.RemoveAt(0);
        else
            _terms[0] = new TermRun(index + 1, term);
        while (_configurations.Count > 1 && _configurations[1].Index <= index)
            _configurations.RemoveAt(0);
        _configurations[0] = (index, configuration);
        Base = new SnapshotInfo(index, term, configuration, 0, 0);
    }

    private int ConfigurationPlace(long index)
    {
        var place = _configurations.Count - 1;
        while (place > 0 && _configurations[place].Index > index)
            place--;
        return place;
    }

    private int RunAt(long index)
    {
        var low = 0;
        var high = _terms.Count - 1;
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (_terms[middle].Index <= index)
                low = middle;
            else
                high = middle - 1;
        }
        return low;
    }
}

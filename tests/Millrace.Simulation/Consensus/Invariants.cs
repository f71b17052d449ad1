using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Storage.Checksums;

namespace Millrace.Simulation.Consensus;

/// <summary>What must always hold, seen from above all members (Raft paper, figure 3).</summary>
internal sealed class Invariants(SimulatedCluster cluster)
{
    private readonly Dictionary<long, MemberId> _leaders = [];
    private readonly Dictionary<long, (long Term, uint Data)> _applied = [];

    /// <summary>The last entry that any member applied.</summary>
    public long LastApplied { get; private set; }

    public int Elections => _leaders.Count;

    /// <summary>Election safety and leader completeness.</summary>
    public void Elected(SimulatedMember member)
    {
        var core = member.Core!;
        if (_leaders.TryGetValue(core.Term, out var other) && other != member.Id)
            cluster.Report($"election safety: {other} and {member.Id} both lead in term {core.Term}");
        _leaders[core.Term] = member.Id;
        if (LastApplied <= core.Log.Base.Index)
            return;
        if (IsPaxos)
        {
            // Terms say nothing there: what was chosen must be in the log with the same content.
            if (_applied[LastApplied].Term < core.Term && (core.LastIndex < LastApplied || DataAt(core, LastApplied) != _applied[LastApplied].Data))
                cluster.Report($"leader completeness: {member.Id} leads in term {core.Term} without entry {LastApplied}");
            return;
        }
        var term = core.Log.TermAt(LastApplied);
        // Entries of later terms may have been committed before this old leader noticed its election; only older ones must be there.
        if (_applied[LastApplied].Term < core.Term && term != _applied[LastApplied].Term)
        {
            cluster.Report($"leader completeness: {member.Id} leads in term {core.Term} without entry {LastApplied} of term "
                + $"{_applied[LastApplied].Term} (has term {term})");
        }
    }

    /// <summary>State-machine safety.</summary>
    public void Applied(MemberId member, Entry entry)
    {
        var data = Crc32C.Compute(entry.Data.Span, (uint)entry.Kind);
        if (!_applied.TryGetValue(entry.Index, out var known))
            _applied[entry.Index] = (entry.Term, data);
        else if (known.Data != data || (known.Term != entry.Term && !IsPaxos))
            cluster.Report($"state-machine safety: {member} applies entry {entry.Index} of term {entry.Term}, another had term {known.Term}");
        LastApplied = Math.Max(LastApplied, entry.Index);
    }

    /// <summary>Log matching: where two logs have the same term at an index, they agree in all before it.</summary>
    public void CheckLogs()
    {
        var cores = cluster.Members.Where(m => m.Core is not null).Select(m => m.Core!).ToArray();
        for (var i = 0; i < cores.Length; i++)
        {
            for (var j = i + 1; j < cores.Length; j++)
                CheckPair(cores[i], cores[j]);
        }
    }

    private bool IsPaxos => cluster.Plan.IsPaxos;

    private static uint DataAt(RaftCore core, long index)
    {
        var entries = new List<Entry>();
        core.Log.Read(index, index, 1, entries);
        return Crc32C.Compute(entries[0].Data.Span, (uint)entries[0].Kind);
    }

    private void CheckPair(RaftCore left, RaftCore right)
    {
        var first = Math.Max(left.Log.Base.Index, right.Log.Base.Index);
        // Slots of Multi-Paxos are accepted one by one.
        if (IsPaxos)
            return;
        var mustAgree = false;
        for (var index = Math.Min(left.LastIndex, right.LastIndex); index >= first; index--)
        {
            var agree = left.Log.TermAt(index) == right.Log.TermAt(index);
            if (mustAgree && !agree)
            {
                cluster.Report($"log matching: {left.Self} and {right.Self} differ at {index} and agree after it");
                return;
            }
            mustAgree |= agree;
        }
    }
}

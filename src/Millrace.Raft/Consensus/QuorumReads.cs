using Millrace.Raft.Messages;

namespace Millrace.Raft.Consensus;

/// <summary>
/// Reads that ask a majority for the end of its logs instead of the leader, durable or not: whoever writes tells the others, perhaps before it tells
/// this member's core, so what is not known to be durable here may have been acknowledged. Every acknowledged write is on a majority's disks,
/// so the furthest end that a majority names is at or after it; once that much is applied here, a read sees it. An answer of a member
/// that knows a newer configuration is no help, since the majority meant here may be one of the past.
/// </summary>
internal sealed class QuorumReads(RaftCore core)
{
    private readonly Dictionary<long, Dictionary<MemberId, long>> _pending = [];

    public void Ask(long readId)
    {
        var answers = new Dictionary<MemberId, long>();
        // One that lost entries cannot say how far it had been.
        if (!core.IsHealing)
            answers[core.Self] = End;
        if (core.Log.ConfigurationIndex < core.Log.LastConfigurationIndex)
        {
            core.Grant(readId, -1);
            return;
        }
        if (IsDecided(answers))
        {
            core.Grant(readId, End);
            return;
        }
        _pending[readId] = answers;
        foreach (var id in core.Configuration.All)
        {
            if (id != core.Self && core.Configuration.IsVoter(id))
                core.Send(new QuorumReadRequest(core.Self, id, core.Term, readId));
        }
    }

    public void Answer(QuorumReadRequest request) => core.Send(new QuorumReadResponse(
        core.Self, request.From, core.Term, request.ReadId, End, core.Log.LastConfigurationIndex));

    public void Count(QuorumReadResponse response)
    {
        if (!_pending.TryGetValue(response.ReadId, out var answers))
            return;
        if (response.ConfigurationIndex > core.Log.ConfigurationIndex)
        {
            _pending.Remove(response.ReadId);
            core.Grant(response.ReadId, -1);
            return;
        }
        answers[response.From] = response.DurableIndex;
        if (!IsDecided(answers))
            return;
        _pending.Remove(response.ReadId);
        core.Grant(response.ReadId, answers.Values.Max());
    }

    public void Forget(long upToReadId)
    {
        foreach (var id in _pending.Keys.Where(id => id <= upToReadId).ToArray())
            _pending.Remove(id);
    }

    private long End => core.Faults.QuorumReadOfCommits
        ? core.Log.Commit
        : Math.Max(core.Faults.QuorumReadOfDurable ? 0 : core.Log.LastIndex, Math.Max(core.Log.FurthestDurable, core.Fast.FurthestVote));

    private bool IsDecided(Dictionary<MemberId, long> answers) =>
        Quorum.Reached(core.Configuration, id => answers.ContainsKey(id) ? 1 : 0) == 1;
}

using Millrace.Raft.Messages;

namespace Millrace.Raft.Consensus;

/// <summary>
/// Multi-Paxos's first phase: asking for promises, giving them, and making a leader's log of what they tell. A log that a member
/// accepted is one accepted proposal for each slot; a slot's ballot is its entry's term.
/// </summary>
/// <remarks>
/// Lamport: Paxos Made Simple, 2001. Where Raft lets only a complete log win and leaves terms as they are, here anyone may win, and all
/// that may have been chosen is proposed again in the winner's term. Chosen entries can therefore have different terms on different
/// members, with the same content; below the commit index terms mean nothing. What was accepted by a minority may come back after many
/// elections, also a change of members. So a change is like the stop sign of a replicated state machine (Lamport, Malkhi, Zhou: Reconfiguring a State
/// Machine, 2010): nothing is proposed behind it before it is chosen, and only then do its members count. One voter at a time, so that majorities
/// before and after it meet, and nobody promises to who does not know of a change that is in force.
/// </remarks>
internal sealed class Promises(RaftCore core)
{
    private readonly Dictionary<long, Entry> _newest = [];
    private readonly Dictionary<(MemberId From, long Slot), FastVote> _votes = [];

    public bool IsUsed => core.Options.IsBySlot;

    public Prepare Ask(MemberId voter, bool isPreVote, bool isTransfer)
    {
        var log = core.Log;
        _newest.Clear();
        _votes.Clear();
        return new Prepare(
            core.Self, voter, isPreVote ? core.Term + 1 : core.Term, log.Commit, isPreVote, isTransfer);
    }

    /// <summary>Whether what the candidate lacks is still here.</summary>
    public bool MayPromise(Prepare request) => FirstToTell(request) > core.Log.Base.Index;

    /// <summary>Whether the candidate has all changes of members that are in force as far as this member knows.</summary>
    public bool KnowsMembers(Prepare request) => core.Fast.IsUsed || core.Log.ConfigurationIndex <= request.Commit || core.Faults.PromiseToThePast;

    /// <summary>For a candidate that has not.</summary>
    public Chosen Tell(Prepare request)
    {
        var log = core.Log;
        var entries = new List<Entry>();
        if (MayPromise(request))
            log.Read(FirstToTell(request), log.ConfigurationIndex, core.Options.MaxAppendBytes, entries);
        return new Chosen(core.Self, request.From, request.Term, log.ConfigurationIndex, log.TermAt(log.ConfigurationIndex), entries);
    }

    /// <summary>Takes over what is surely chosen.</summary>
    public void Learn(long now, Chosen chosen)
    {
        var log = core.Log;
        if (core.Role == Role.Leader)
            return;
        var members = log.ConfigurationIndex;
        var last = chosen.Entries.Count == 0 ? 0 : chosen.Entries[^1].Index;
        List<Entry> kept = [];
        foreach (var entry in chosen.Entries)
        {
            // Late: what comes before is not here.
            if (entry.Index > log.LastIndex + 1)
                return;
            if (entry.Index <= log.LastIndex)
            {
                if (entry.Index <= log.Commit || log.TermAt(entry.Index) == entry.Term)
                    continue;
                kept = log.Reopen(entry.Index, last);
            }
            log.Append(entry);
        }
        foreach (var entry in kept)
            log.Append(entry);
        if (last > log.Commit)
            log.CommitTo(last);
        if (log.TermAt(chosen.Index) == chosen.IndexTerm)
            log.CommitTo(chosen.Index);
        if (core.Role != Role.Follower && members != log.ConfigurationIndex)
            core.StepDown(now);
    }

    /// <summary>Null when it is more than one message may have.</summary>
    public Promise? Give(Prepare request)
    {
        var accepted = new List<Entry>();
        long bytes = 0;
        for (var next = FirstToTell(request); next <= core.Log.LastIndex;)
        {
            var count = accepted.Count;
            core.Log.Read(next, core.Log.LastIndex, core.Options.MaxPromiseBytes, accepted);
            for (; count < accepted.Count; count++)
                bytes += accepted[count].Bytes;
            if (bytes > core.Options.MaxPromiseBytes)
                return null;
            next = accepted[^1].Index + 1;
        }
        return new Promise(core.Self, request.From, request.Term, core.Faults.ForgetAccepted ? [] : accepted)
        {
            Votes = core.Faults.ForgetFastVotes ? [] : [.. core.Fast.Votes.Where(v => v.Slot >= FirstToTell(request))],
        };
    }

    public void Take(Promise promise)
    {
        foreach (var entry in promise.Accepted)
        {
            if (!_newest.TryGetValue(entry.Index, out var known) || entry.Term > known.Term)
                _newest[entry.Index] = entry;
        }
        foreach (var vote in promise.Votes)
            _votes[(promise.From, vote.Slot)] = vote;
    }

    /// <summary>
    /// Puts the newest accepted entry of every slot after the commit index into this member's log, in its own term.
    /// </summary>
    public void Adopt()
    {
        var log = core.Log;
        var chosen = new List<Entry>();
        var own = new List<Entry>();
        for (var next = log.Commit + 1; next <= log.LastIndex; next = own[^1].Index + 1)
            log.Read(next, log.LastIndex, core.Options.MaxPromiseBytes, own);
        foreach (var vote in core.Fast.Votes)
            _votes[(core.Self, vote.Slot)] = vote;
        var votes = _votes.Values.ToLookup(static v => v.Slot);
        var last = _votes.Count == 0 ? 0 : _votes.Keys.Max(static k => k.Slot);
        for (var index = log.Commit + 1; ; index++)
        {
            var at = (int)(index - log.Commit - 1);
            var mine = at < own.Count ? own[at] : default;
            if (_newest.TryGetValue(index, out var told) && told.Term > mine.Term)
                mine = told;
            // A fast round comes before what its term's leader proposed itself, and after all of older terms.
            var round = votes[index].Select(static v => v.Term).DefaultIfEmpty(0).Max();
            if (round > mine.Term || (round == mine.Term && round > 0 && core.Faults.FastOverClassic))
                mine = FastQuorum.Pick([.. votes[index].Where(v => v.Term == round)], round, index, core.Faults).Entry;
            if (mine.Term == 0 && index > last)
                break;
            // Slots after it may have been chosen, so it must be filled.
            if (mine.Term == 0)
                mine = FastVote.Nobody(core.Term, index).Entry;
            // A change of other members than these was not chosen, since it would be one voter away.
            if (mine.Kind == EntryKind.Configuration && !ConfigurationEntry.Decode(mine.Data, out _).IsOneVoterFrom(log.Configuration))
                mine = FastVote.Nobody(core.Term, index).Entry;
            chosen.Add(core.Faults.KeepOldTerms ? mine : mine with { Term = core.Term });
            // Behind a change that may be in force others decide, in the members' number that it makes.
            if (mine.Kind == EntryKind.Configuration && !core.Faults.ProposeBehindChange)
                break;
        }
        _newest.Clear();
        _votes.Clear();
        if (log.LastIndex > log.Commit)
            log.Reopen(log.Commit + 1, log.LastIndex);
        foreach (var entry in chosen)
            log.Append(entry);
    }

    /// <summary>Logs that agree at one slot need not agree before it, so all after what the candidate surely has is told.</summary>
    private static long FirstToTell(Prepare request) => request.Commit + 1;
}

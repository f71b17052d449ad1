using Millrace.Coordination.Commitment;

namespace Millrace.Simulation.Commitment;

/// <summary>
/// Two and three phases under seeded loss, delay, partitions and coordinators that die, by the product's own rules. Three phases block less, and
/// a partition makes them decide both ways: that is why two phases over a replicated coordinator are the default.
/// </summary>
public sealed class CommitmentTests
{
    private const int Seeds = 2000;

    [Fact]
    public void Two_phases_never_decide_both_ways_and_block_when_the_coordinator_is_gone()
    {
        var blocked = 0;
        for (var seed = 1; seed <= Seeds; seed++)
        {
            var run = new CommitmentRun(seed, CommitProtocol.TwoPhase, parts: true, dies: true);
            Assert.False(run.IsSplit, $"seed {seed}: {run}");
            blocked += run.IsBlocked ? 1 : 0;
        }
        Assert.True(blocked > 10, $"only {blocked} of {Seeds} runs blocked");
        Console.WriteLine($"two phases: {blocked} of {Seeds} runs wait for their coordinator, none is decided both ways");
    }

    [Fact]
    public void Two_phases_end_as_soon_as_another_coordinator_reads_the_replicated_record()
    {
        for (var seed = 1; seed <= Seeds; seed++)
        {
            var run = new CommitmentRun(seed, CommitProtocol.TwoPhase, parts: true, dies: true);
            run.TakeOver();
            Assert.False(run.IsSplit || run.IsBlocked, $"seed {seed}: {run}");
        }
    }

    [Fact]
    public void Three_phases_neither_block_nor_split_while_only_coordinators_die()
    {
        for (var seed = 1; seed <= Seeds; seed++)
        {
            var run = new CommitmentRun(seed, CommitProtocol.ThreePhase, parts: false, dies: true);
            Assert.False(run.IsSplit || run.IsBlocked, $"seed {seed}: {run}");
        }
    }

    /// <summary>The counter-example: one side has heard that all voted yes and commits, the other has not and aborts.</summary>
    [Fact]
    public void Three_phases_decide_both_ways_when_a_partition_falls_into_the_second()
    {
        var splits = 0;
        string? first = null;
        for (var seed = 1; seed <= Seeds; seed++)
        {
            var run = new CommitmentRun(seed, CommitProtocol.ThreePhase, parts: true, dies: true);
            splits += run.IsSplit ? 1 : 0;
            first ??= run.IsSplit ? $"seed {seed}: {run}" : null;
        }
        Assert.True(splits > 0, $"no split in {Seeds} runs");
        Console.WriteLine($"three phases: {splits} of {Seeds} runs are decided both ways; the first is {first}");
    }
}

/// <summary>One transaction of four participants, played from a seed.</summary>
internal sealed class CommitmentRun
{
    private const int Participants = 4;
    private readonly CommitProtocol _protocol;
    private readonly ParticipantState[] _states = new ParticipantState[Participants];
    private TransactionState _record = TransactionState.Preparing;

    public CommitmentRun(int seed, CommitProtocol protocol, bool parts, bool dies)
    {
        _protocol = protocol;
        var random = new Random(seed);
        // The coordinator tells one after the other; it dies, or the network parts, after so many words.
        var last = dies ? random.Next(1, 16) : int.MaxValue;
        var cut = parts ? random.Next(1, 16) : int.MaxValue;
        var side = Enumerable.Range(0, Participants).Select(_ => random.Next(2)).ToArray();
        var no = random.NextDouble() < 0.2 ? random.Next(Participants) : -1;
        var words = 0;
        var isAlive = true;
        while (isAlive && _record is not (TransactionState.Committed or TransactionState.Aborted))
        {
            var isRefused = false;
            foreach (var i in Enumerable.Range(0, Participants).OrderBy(_ => random.Next()))
            {
                if (++words >= last)
                {
                    isAlive = false;
                    break;
                }
                // The coordinator is on side 0. A vote that does not come is a no; later words are tried until they arrive.
                var isCut = words >= cut && side[i] == 1;
                if (!isCut)
                    isRefused |= !Tell(i, no == i);
                else if (_record == TransactionState.Preparing)
                    isRefused = true;
                else if (_record == TransactionState.PreCommitting)
                    continue;
            }
            if (!isAlive)
                break;
            _record = isRefused ? TransactionState.Aborting : CommitRules.Next(_record, protocol);
        }
        if (words >= cut)
        {
            foreach (var half in new[] { 0, 1 })
                DecideAlone([.. Enumerable.Range(0, Participants).Where(i => side[i] == half)]);
        }
        else if (!isAlive)
        {
            DecideAlone([.. Enumerable.Range(0, Participants)]);
        }
    }

    public bool IsSplit => _states.Contains(ParticipantState.Committed) && _states.Contains(ParticipantState.Aborted);

    /// <summary>Somebody who voted yes holds what it prepared and may not let go.</summary>
    public bool IsBlocked => _states.Any(static s => s is ParticipantState.Prepared or ParticipantState.PreCommitted);

    /// <summary>The partition is over, and another coordinator reads the record in the replicated store.</summary>
    public void TakeOver()
    {
        for (_record = CommitRules.TakeOver(_record); ; _record = CommitRules.Next(_record, _protocol))
        {
            for (var i = 0; i < Participants; i++)
                Tell(i, votesNo: false);
            if (_record is TransactionState.Committed or TransactionState.Aborted)
                return;
        }
    }

    public override string ToString() => $"record {_record}, participants {string.Join(' ', _states)}";

    private bool Tell(int i, bool votesNo)
    {
        if (_states[i] is ParticipantState.Committed or ParticipantState.Aborted)
            return true;
        switch (_record)
        {
            case TransactionState.Preparing when votesNo:
                _states[i] = ParticipantState.Aborted;
                return false;
            case TransactionState.Preparing:
                _states[i] = ParticipantState.Prepared;
                return true;
            case TransactionState.PreCommitting:
                _states[i] = ParticipantState.PreCommitted;
                return true;
            case TransactionState.Committing or TransactionState.Committed:
                _states[i] = ParticipantState.Committed;
                return true;
            default:
                _states[i] = ParticipantState.Aborted;
                return true;
        }
    }

    private void DecideAlone(int[] reachable)
    {
        if (reachable.Length == 0 || CommitRules.DecideAlone(_protocol, [.. reachable.Select(i => _states[i])]) is not { } commits)
            return;
        foreach (var i in reachable)
            _states[i] = commits ? ParticipantState.Committed : ParticipantState.Aborted;
    }
}

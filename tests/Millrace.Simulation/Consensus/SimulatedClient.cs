using System.Globalization;
using Millrace.Raft.Consensus;
using Millrace.Simulation.Linearizability;

namespace Millrace.Simulation.Consensus;

/// <summary>Reads, writes and swaps one register after another, as applications do, and remembers when each began and ended.</summary>
internal sealed class SimulatedClient(SimulatedCluster cluster, int id)
{
    private const long Patience = 1_500_000;
    private int _attempt;
    private int _target;

    public void Start() => cluster.After(cluster.Random.NextInt64(100_000), Next);

    private void Next()
    {
        if (cluster.Time >= cluster.StormEnd)
            return;
        var key = cluster.Random.Next(cluster.Plan.Keys);
        if (cluster.Happens(cluster.Plan.Reads))
            Read(key);
        else
            Write(key, isSwap: cluster.Happens(0.4));
    }

    private void Think() => cluster.After(cluster.Random.NextInt64(1_000, 40_000), Next);

    private void Read(int key)
    {
        var attempt = ++_attempt;
        var call = cluster.NextEvent();
        var member = cluster.Members[cluster.Random.Next(cluster.Members.Count)];
        if (cluster.Happens(0.5) && cluster.Leader is { } leader)
            member = leader;
        var isAnswered = false;
        member.Read(cluster.Happens(cluster.Plan.QuorumReads), machine =>
        {
            if (attempt != _attempt)
                return;
            isAnswered = true;
            _attempt++;
            if (machine is not null)
            {
                int? value = machine.Values.TryGetValue(key, out var found) ? found : null;
                Record(key, new RegisterInput(RegisterAction.Read, null, null), new RegisterOutput(false, false, value), call, cluster.NextEvent());
            }
            Think();
        });
        if (isAnswered)
            return;
        cluster.After(Patience, () =>
        {
            if (attempt != _attempt)
                return;
            _attempt++;
            Next();
        });
    }

    private void Write(int key, bool isSwap)
    {
        var attempt = ++_attempt;
        var value = cluster.NextValue();
        var expected = isSwap ? cluster.LastValueOf(key) : null;
        var input = new RegisterInput(isSwap ? RegisterAction.Swap : RegisterAction.Write, expected, value);
        var command = SimulatedMachine.Encode(isSwap ? 1 : 0, key, expected ?? int.MinValue, value);
        var call = cluster.NextEvent();
        var member = cluster.Happens(cluster.Plan.AtLeader) && cluster.Leader is { } leader
            ? leader
            : cluster.Members[_target++ % cluster.Members.Count];
        var outcome = member.Propose(command, result =>
        {
            if (attempt != _attempt)
                return;
            _attempt++;
            if (result is { } done)
            {
                cluster.Acknowledged++;
                if (done)
                    cluster.SetLastValue(key, value);
                Record(key, input, new RegisterOutput(false, done, null), call, cluster.NextEvent());
            }
            Think();
        });
        if (outcome != ProposalOutcome.Accepted)
        {
            _attempt++;
            Think();
            return;
        }
        cluster.After(Patience, () =>
        {
            if (attempt != _attempt)
                return;
            // It may yet happen, or not.
            _attempt++;
            Record(key, input, new RegisterOutput(true, false, null), call, long.MaxValue);
            Next();
        });
    }

    private void Record(int key, RegisterInput input, RegisterOutput output, long call, long end) =>
        cluster.History.Add(new(id, key.ToString(CultureInfo.InvariantCulture), input, output, call, end));
}

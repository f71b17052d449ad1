using Millrace.Raft;
using Millrace.Raft.Messages;

namespace Millrace.Simulation.Consensus;

/// <summary>Carries messages late, twice, out of order or not at all; each direction between two members can be cut.</summary>
internal sealed class SimulatedNetwork(SimulatedCluster cluster)
{
    private readonly HashSet<(MemberId From, MemberId To)> _cut = [];

    public bool IsHealed { get; set; }

    public void Send(Message message)
    {
        var plan = cluster.Plan;
        if (_cut.Contains((message.From, message.To)))
            return;
        var copies = !IsHealed && cluster.Happens(plan.Duplication) ? 2 : 1;
        for (var i = 0; i < copies; i++)
        {
            if (!IsHealed && cluster.Happens(plan.Loss))
                continue;
            var delay = cluster.Random.NextInt64(plan.DelayMin, plan.DelayMax);
            // Now and then one is very late.
            if (!IsHealed && cluster.Happens(0.01))
                delay *= 20;
            cluster.After(delay, () => cluster.MemberOf(message.To)?.Receive(message));
        }
    }

    public void Heal() => _cut.Clear();

    public void CutOff(MemberId id) => CutBetween([id], cluster.Members.Select(m => m.Id).Where(i => i != id).ToArray(), bothWays: true);

    /// <summary>Cuts at random: one member off, two halves, or single directions.</summary>
    public void Cut()
    {
        var ids = cluster.Members.Select(m => m.Id).ToArray();
        cluster.Random.Shuffle(ids);
        switch (cluster.Random.Next(4))
        {
            case 0:
                CutBetween(ids[..1], ids[1..], bothWays: true);
                break;
            case 1:
                CutBetween(ids[..1], ids[1..], bothWays: false);
                break;
            case 2:
                CutBetween(ids[..(ids.Length / 2)], ids[(ids.Length / 2)..], bothWays: true);
                break;
            default:
                // The leader is the most interesting to cut off.
                if (cluster.Leader is { } leader)
                    CutBetween([leader.Id], ids.Where(i => i != leader.Id).ToArray(), bothWays: cluster.Happens(0.7));
                break;
        }
    }

    private void CutBetween(MemberId[] left, MemberId[] right, bool bothWays)
    {
        foreach (var from in left)
        {
            foreach (var to in right)
            {
                _cut.Add((from, to));
                if (bothWays)
                    _cut.Add((to, from));
            }
        }
    }
}

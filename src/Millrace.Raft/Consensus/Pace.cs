namespace Millrace.Raft.Consensus;

/// <summary>
/// The leader's choice of heartbeat and election intervals from measured round trips. It slows down at once, and speeds up by a tenth
/// per heartbeat and only when clearly too slow, so that a stable leader is not disturbed by its own tuning.
/// </summary>
internal sealed class Pace(RaftOptions options)
{
    public long ElectionMicros { get; private set; } = options.ElectionMinMicros;

    /// <summary>Never rarer than the option says, since each is also a measurement, and a slow pace must be able to end.</summary>
    public long HeartbeatMicros =>
        Math.Max(1, Math.Min((long)options.HeartbeatMax.TotalMicroseconds, ElectionMicros / options.HeartbeatsPerElectionTimeout));

    /// <param name="wanted">What round trips ask for, of the slowest voter that answers.</param>
    public void Adapt(long wanted)
    {
        wanted = Math.Clamp(wanted, options.ElectionMinMicros, options.ElectionMaxMicros);
        if (wanted > ElectionMicros)
            ElectionMicros = wanted;
        else if (wanted < ElectionMicros * 7 / 10)
            ElectionMicros = Math.Max(wanted, ElectionMicros * 9 / 10);
    }
}

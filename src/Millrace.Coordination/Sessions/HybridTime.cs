namespace Millrace.Coordination.Sessions;

/// <summary>
/// A time that orders writes of all members as they could know of each other: the wall clock's milliseconds where clocks allow it, counted on where
/// they do not, and told apart by the member (Kulkarni and others: Logical Physical Clocks, 2014).
/// </summary>
/// <param name="Millis">Of the largest wall clock seen.</param>
/// <param name="Counter">Of writes within it.</param>
/// <param name="Member">Who wrote.</param>
public readonly record struct HybridTime(long Millis, int Counter, ulong Member) : IComparable<HybridTime>
{
    public int CompareTo(HybridTime other) => Millis != other.Millis ? Millis.CompareTo(other.Millis)
        : Counter != other.Counter ? Counter.CompareTo(other.Counter) : Member.CompareTo(other.Member);

    public static bool operator >(HybridTime left, HybridTime right) => left.CompareTo(right) > 0;

    public static bool operator <(HybridTime left, HybridTime right) => left.CompareTo(right) < 0;

    public static bool operator >=(HybridTime left, HybridTime right) => left.CompareTo(right) >= 0;

    public static bool operator <=(HybridTime left, HybridTime right) => left.CompareTo(right) <= 0;

    /// <summary>The next time of a member that has seen this one.</summary>
    public HybridTime Next(long wallMillis, ulong member) =>
        wallMillis > Millis ? new HybridTime(wallMillis, 0, member) : new HybridTime(Millis, checked(Counter + 1), member);
}

/// <summary>What a copy holds of a session.</summary>
/// <param name="Time">Of the write; the greatest is the newest, everywhere.</param>
/// <param name="Value">Null: deleted.</param>
/// <param name="ExpiresAtMillis">By wall clocks; 0 for never.</param>
public sealed record SessionVersion(HybridTime Time, ReadOnlyMemory<byte>? Value, long ExpiresAtMillis)
{
    public bool IsGone(long wallMillis) => Value is null || (ExpiresAtMillis > 0 && ExpiresAtMillis <= wallMillis);
}

using System.Globalization;

namespace Millrace.Raft;

/// <summary>A member of a group, for its whole life; 0 is nobody.</summary>
public readonly record struct MemberId(ulong Value) : IComparable<MemberId>
{
    public static readonly MemberId None;

    public bool IsNone => Value == 0;

    public int CompareTo(MemberId other) => Value.CompareTo(other.Value);

    public static bool operator <(MemberId left, MemberId right) => left.Value < right.Value;

    public static bool operator >(MemberId left, MemberId right) => left.Value > right.Value;

    public static bool operator <=(MemberId left, MemberId right) => left.Value <= right.Value;

    public static bool operator >=(MemberId left, MemberId right) => left.Value >= right.Value;

    /// <summary>In hexadecimal, as etcd prints its members.</summary>
    public override string ToString() => Value.ToString("x", CultureInfo.InvariantCulture);
}

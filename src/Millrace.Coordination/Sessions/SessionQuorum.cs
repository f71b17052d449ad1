namespace Millrace.Coordination.Sessions;

/// <summary>How many copies a session has, and how many of them a write and a read wait for.</summary>
/// <param name="Copies">N. Default 3; fewer when the group has fewer members.</param>
/// <param name="Write">W: a write is acknowledged when so many copies have it on disk. Default 2.</param>
/// <param name="Read">R: a read waits for so many copies and takes the newest. Default 2.</param>
public sealed record SessionQuorum(int Copies = 3, int Write = 2, int Read = 2)
{
    /// <summary>A read sees every write that was acknowledged before it began: any R copies have one of any W in common.</summary>
    public bool IsStrict => Read + Write > Copies;

    /// <exception cref="ArgumentException">A number is out of its range; the message names it.</exception>
    public void Validate()
    {
        if (Copies is < 1 or > 7)
            throw new ArgumentException($"copies must be from 1 to 7, not {Copies}", nameof(Copies));
        if (Write < 1 || Write > Copies)
            throw new ArgumentException($"write must be from 1 to copies ({Copies}), not {Write}", nameof(Write));
        if (Read < 1 || Read > Copies)
            throw new ArgumentException($"read must be from 1 to copies ({Copies}), not {Read}", nameof(Read));
    }

    /// <summary>The same in a group of so many.</summary>
    public SessionQuorum In(int members) => Copies <= members ? this : new SessionQuorum(members, Math.Min(Write, members), Math.Min(Read, members));

    /// <summary>
    /// The members that keep a session, the same at every member that knows the same group: the highest by lot, so that a change of members moves few
    /// (Thaler, Ravishankar: Using Name-Based Mappings to Increase Hit Rates, 1998).
    /// </summary>
    public static ulong[] HomesOf(string key, IEnumerable<ulong> members, int copies)
    {
        ArgumentNullException.ThrowIfNull(key);
        var hash = 14695981039346656037UL;
        foreach (var c in key)
            hash = (hash ^ c) * 1099511628211UL;
        ulong[] homes = [.. members];
        Array.Sort(homes, (one, other) =>
        {
            var order = Mix(hash ^ Mix(other)).CompareTo(Mix(hash ^ Mix(one)));
            return order != 0 ? order : one.CompareTo(other);
        });
        return homes.Length > copies ? homes[..copies] : homes;
    }

    /// <summary>The finalizer of SplitMix64.</summary>
    private static ulong Mix(ulong x)
    {
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9UL;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EBUL;
        return x ^ (x >> 31);
    }
}

using System.Buffers.Binary;

namespace Millrace.Raft;

/// <summary>
/// Who belongs to a group. While <see cref="IsJoint"/>, decisions need a majority of both <see cref="Voters"/> and
/// <see cref="OldVoters"/> (Ongaro, Ousterhout: In Search of an Understandable Consensus Algorithm, 2014, section 6). A member
/// follows the newest configuration in its log, committed or not.
/// </summary>
public sealed class Configuration : IEquatable<Configuration>
{
    private const byte Version = 1;

    /// <summary>Nobody: what a member knows that waits to be added.</summary>
    public static readonly Configuration Empty = new([], [], []);

    private readonly MemberId[] _voters;
    private readonly MemberId[] _oldVoters;
    private readonly MemberId[] _learners;
    private readonly MemberId[] _all;

    private Configuration(MemberId[] voters, MemberId[] oldVoters, MemberId[] learners)
    {
        _voters = voters;
        _oldVoters = oldVoters;
        _learners = learners;
        _all = Sorted([.. voters, .. oldVoters, .. learners]);
    }

    public ReadOnlySpan<MemberId> Voters => _voters;

    /// <summary>The voters before the change under way; empty when none is.</summary>
    public ReadOnlySpan<MemberId> OldVoters => _oldVoters;

    /// <summary>They receive the log and count for nothing.</summary>
    public ReadOnlySpan<MemberId> Learners => _learners;

    /// <summary>Everyone who receives the log, once, in order of id.</summary>
    public ReadOnlySpan<MemberId> All => _all;

    public bool IsJoint => _oldVoters.Length > 0;

    public static Configuration Of(IEnumerable<MemberId> voters, IEnumerable<MemberId>? learners = null) =>
        new(Sorted(voters), [], Sorted(learners ?? []));

    /// <summary>The step towards other voters.</summary>
    public Configuration JoinTo(Configuration next) => new(next._voters, _voters, next._learners);

    /// <summary>The end of that step.</summary>
    public Configuration Leave() => new(_voters, [], _learners);

    public bool IsVoter(MemberId id) => Array.BinarySearch(_voters, id) >= 0 || Array.BinarySearch(_oldVoters, id) >= 0;

    public bool IsLearner(MemberId id) => Array.BinarySearch(_learners, id) >= 0 && !IsVoter(id);

    public bool Contains(MemberId id) => Array.BinarySearch(_all, id) >= 0;

    public bool HasSameVotersAs(Configuration other) => _voters.AsSpan().SequenceEqual(other._voters);

    /// <summary>Whether at most one voter came or went between both, so that majorities of both always meet.</summary>
    public bool IsOneVoterFrom(Configuration other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return !IsJoint && !other.IsJoint && _voters.Except(other._voters).Count() + other._voters.Except(_voters).Count() <= 1;
    }

    public int EncodedLength => 4 + (8 * (_voters.Length + _oldVoters.Length + _learners.Length));

    public int Encode(Span<byte> target)
    {
        target[0] = Version;
        target[1] = checked((byte)_voters.Length);
        target[2] = checked((byte)_oldVoters.Length);
        target[3] = checked((byte)_learners.Length);
        var at = 4;
        foreach (var list in new[] { _voters, _oldVoters, _learners })
        {
            foreach (var id in list)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(target[at..], id.Value);
                at += 8;
            }
        }
        return at;
    }

    /// <exception cref="InvalidDataException">These bytes are no configuration.</exception>
    public static Configuration Decode(ReadOnlySpan<byte> source, out int length)
    {
        if (source.Length < 4 || source[0] != Version)
            throw new InvalidDataException("a configuration of the group is cut short or of an unknown version");
        length = 4 + (8 * (source[1] + source[2] + source[3]));
        if (source.Length < length)
            throw new InvalidDataException("a configuration of the group is cut short");
        var at = 4;
        var lists = new MemberId[3][];
        for (var list = 0; list < 3; list++)
        {
            lists[list] = new MemberId[source[1 + list]];
            for (var i = 0; i < lists[list].Length; i++, at += 8)
                lists[list][i] = new MemberId(BinaryPrimitives.ReadUInt64LittleEndian(source[at..]));
        }
        return new Configuration(Sorted(lists[0]), Sorted(lists[1]), Sorted(lists[2]));
    }

    public bool Equals(Configuration? other) =>
        other is not null && _voters.AsSpan().SequenceEqual(other._voters) && _oldVoters.AsSpan().SequenceEqual(other._oldVoters)
        && _learners.AsSpan().SequenceEqual(other._learners);

    public override bool Equals(object? obj) => Equals(obj as Configuration);

    public override int GetHashCode() => HashCode.Combine(_voters.Length, _oldVoters.Length, _learners.Length, _all.FirstOrDefault());

    public override string ToString() =>
        $"voters [{string.Join(' ', _voters)}]" + (IsJoint ? $" old [{string.Join(' ', _oldVoters)}]" : "")
        + (_learners.Length > 0 ? $" learners [{string.Join(' ', _learners)}]" : "");

    private static MemberId[] Sorted(IEnumerable<MemberId> ids) => ids.Where(id => !id.IsNone).Distinct().Order().ToArray();
}

/// <summary>The data of an entry of kind <see cref="EntryKind.Configuration"/>: the whole new configuration, then a context of the proposer's.</summary>
public static class ConfigurationEntry
{
    public static byte[] Encode(Configuration configuration, ReadOnlySpan<byte> context)
    {
        var data = new byte[configuration.EncodedLength + context.Length];
        var at = configuration.Encode(data);
        context.CopyTo(data.AsSpan(at));
        return data;
    }

    /// <exception cref="InvalidDataException">The entry holds no configuration.</exception>
    public static Configuration Decode(ReadOnlyMemory<byte> data, out ReadOnlyMemory<byte> context)
    {
        var configuration = Configuration.Decode(data.Span, out var length);
        context = data[length..];
        return configuration;
    }
}

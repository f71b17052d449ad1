namespace Millrace.Log.Groups;

/// <summary>A protocol that a member can follow, with what it tells the leader under it.</summary>
internal readonly record struct GroupProtocol(string Name, ReadOnlyMemory<byte> Metadata);

/// <summary>Who asks, and how.</summary>
internal sealed record JoinRequest
{
    public required string MemberId { get; init; }

    public string? InstanceId { get; init; }

    public required string ClientId { get; init; }

    public required string ClientHost { get; init; }

    public required int SessionTimeoutMs { get; init; }

    public required int RebalanceTimeoutMs { get; init; }

    public required string ProtocolType { get; init; }

    public required IReadOnlyList<GroupProtocol> Protocols { get; init; }

    /// <summary>JoinGroup v4 and later: a member without id is given one first and asks again (KIP-394).</summary>
    public required bool RequiresKnownMemberId { get; init; }

    /// <summary>JoinGroup v9: a leader that returns unchanged is told not to assign again (KIP-814).</summary>
    public required bool SupportsSkippingAssignment { get; init; }

    /// <summary>An id that no member has, for when this one needs one.</summary>
    public required string NewMemberId { get; init; }
}

/// <summary>A member of a classic group.</summary>
internal sealed class GroupMember
{
    public required string Id { get; set; }

    public string? InstanceId { get; init; }

    public required string ClientId { get; set; }

    public required string ClientHost { get; set; }

    public required int SessionTimeoutMs { get; set; }

    public required int RebalanceTimeoutMs { get; set; }

    public required IReadOnlyList<GroupProtocol> Protocols { get; set; }

    public ReadOnlyMemory<byte> Assignment { get; set; }

    /// <summary>Who waits for the join phase to end; null when nobody does.</summary>
    public object? Joining { get; set; }

    /// <summary>Who waits for the leader's assignment; null when nobody does.</summary>
    public object? Syncing { get; set; }

    /// <summary>When the member counts as gone, in milliseconds of Unix time, unless it waits for an answer.</summary>
    public long SessionDeadline { get; set; }

    public bool IsWaiting => Joining is not null || Syncing is not null;

    public void Seen(long now) => SessionDeadline = now + SessionTimeoutMs;

    public bool Supports(string protocol)
    {
        foreach (var own in Protocols)
        {
            if (own.Name == protocol)
                return true;
        }
        return false;
    }

    public ReadOnlyMemory<byte> MetadataOf(string? protocol)
    {
        foreach (var own in Protocols)
        {
            if (own.Name == protocol)
                return own.Metadata;
        }
        return default;
    }

    /// <summary>Whether a new join says the same as the last one.</summary>
    public bool Matches(IReadOnlyList<GroupProtocol> protocols)
    {
        if (protocols.Count != Protocols.Count)
            return false;
        for (var i = 0; i < protocols.Count; i++)
        {
            if (protocols[i].Name != Protocols[i].Name || !protocols[i].Metadata.Span.SequenceEqual(Protocols[i].Metadata.Span))
                return false;
        }
        return true;
    }
}

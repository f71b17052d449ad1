using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>DescribeCluster (key 60), versions 0 to 1.</summary>
public sealed class DescribeClusterRequest : IWireStruct
{
    public bool IncludeClusterAuthorizedOperations;
    public sbyte EndpointType = 1;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Boolean(ref IncludeClusterAuthorizedOperations);
        if (codec.Version >= 1)
            codec.Int8(ref EndpointType);
    }
}

/// <summary>The answer to <see cref="DescribeClusterRequest"/>.</summary>
public sealed class DescribeClusterResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public ErrorCode ErrorCode;
    public string? ErrorMessage;
    public sbyte EndpointType = 1;
    public string ClusterId = "";
    public int ControllerId = -1;
    public List<DescribeClusterBroker> Brokers = [];
    public int ClusterAuthorizedOperations = int.MinValue;

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Error(ref ErrorCode);
        codec.NullableString(ref ErrorMessage);
        if (codec.Version >= 1)
            codec.Int8(ref EndpointType);
        codec.String(ref ClusterId);
        codec.Int32(ref ControllerId);
        codec.Structs(ref Brokers);
        codec.Int32(ref ClusterAuthorizedOperations);
    }

    public sealed class DescribeClusterBroker : IWireStruct
    {
        public int BrokerId;
        public string Host = "";
        public int Port;
        public string? Rack;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref BrokerId);
            codec.String(ref Host);
            codec.Int32(ref Port);
            codec.NullableString(ref Rack);
        }
    }
}

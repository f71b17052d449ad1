using System.Reflection;
using Confluent.Kafka;
using Millrace.Kafka.Clients;

namespace Millrace.Interop.Log;

/// <summary>
/// Lets Confluent.Kafka 2.15 read by a librdkafka before 2.1, as Debian has it: the three functions on leader epochs that such a library lacks (they came with
/// KIP-320) answer "unknown", which is what they answer for brokers that tell none. Everything else is the unchanged client.
/// </summary>
internal static class OlderLibrdkafka
{
    private const int UnknownEpoch = -1;
    private static readonly Lazy<bool> Ready = new(Prepare);

    public static void EnsureReadable() => _ = Ready.Value;

    private static bool Prepare()
    {
        KafkaLibraries.EnsureReady();
        if (Library.Version >= 0x020100ff)
            return true;
        var functions = typeof(Library).Assembly.GetType("Confluent.Kafka.Impl.Librdkafka", throwOnError: true)!;
        Set(functions, "_message_leader_epoch", EpochOfMessage);
        Set(functions, "_topic_partition_get_leader_epoch", EpochOfMessage);
        Set(functions, "_topic_partition_set_leader_epoch", (Action<IntPtr, int>)((_, _) => { }));
        return true;
    }

    private static int EpochOfMessage(IntPtr pointer) => UnknownEpoch;

    private static void Set(Type functions, string name, Delegate function)
    {
        var field = functions.GetField(name, BindingFlags.Static | BindingFlags.NonPublic) ?? throw new MissingFieldException(functions.FullName, name);
        field.SetValue(null, Delegate.CreateDelegate(field.FieldType, function.Target, function.Method));
    }
}

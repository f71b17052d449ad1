// Wrote messages.txt with Apache Kafka 4.3.1's own serializers: every request and response in every version that Millrace knows.
// Again: java -cp "$KAFKA_LIBS/*" Golden.java KEY:FIRST:LAST... > messages.txt
import java.lang.reflect.*; import java.nio.ByteBuffer; import java.util.*;
import org.apache.kafka.common.protocol.*; import org.apache.kafka.common.message.*; import org.apache.kafka.common.Uuid; 
public class Golden {
  static int n;
  static Object value(Class<?> t, Type g, String name, int depth) throws Exception {
    n++;
    if (t==boolean.class) return true; if (t==byte.class) return (byte)(n%100+1); if (t==short.class) return (short)(n*7%1000+1);
    if (t==int.class) return n*131+7; if (t==long.class) return 1000000007L*n+3; if (t==double.class) return n+0.25; if (t==int[].class) return new int[]{n};
    if (t==String.class) return "s"+n; if (t==Uuid.class) return new Uuid(n*31L+5, n*17L+9); if (t==byte[].class) return new byte[]{1,(byte)n,3};
    if (t==ByteBuffer.class) return ByteBuffer.wrap(new byte[]{9,8,(byte)n});
    if (t.getName().endsWith("BaseRecords")) { byte[] b=new byte[70]; for(int i=0;i<70;i++) b[i]=(byte)(i+n); return org.apache.kafka.common.record.internal.MemoryRecords.readableRecords(ByteBuffer.wrap(b)); }
    if (List.class.isAssignableFrom(t)) { Type e=((ParameterizedType)g).getActualTypeArguments()[0]; List<Object> l=new ArrayList<>();
      for(int i=0;i<2;i++) { if (e==Integer.class) l.add(n++*3); else if (e==Long.class) l.add(n++*5L); else if (e==Short.class) l.add((short)n++); else if (e==String.class) l.add("x"+n++); else if (e==Uuid.class) l.add(new Uuid(n++,4)); else l.add(fill(((Class<?>)e).getDeclaredConstructor().newInstance(), depth+1)); } return l; }
    if (ImplicitLinkedHashCollectionLike(t)) { Object c=t.getDeclaredConstructor().newInstance(); Class<?> e=(Class<?>)((ParameterizedType)t.getGenericSuperclass()).getActualTypeArguments()[0];
      for(int i=0;i<2;i++) ((Collection<Object>)c).add(fill(e.getDeclaredConstructor().newInstance(), depth+1)); return c; }
    if (Message.class.isAssignableFrom(t)) return fill(t.getDeclaredConstructor().newInstance(), depth+1);
    throw new RuntimeException("type "+t+" "+name);
  }
  static boolean ImplicitLinkedHashCollectionLike(Class<?> t){ return Collection.class.isAssignableFrom(t); }
  static Set<String> tagged = Set.of("setCurrentLeader","setNodeEndpoints","setClusterId@Fetch","setReplicaState","setDivergingEpoch","setSnapshotId","setSupportedFeatures","setFinalizedFeaturesEpoch","setFinalizedFeatures","setZkMigrationReady","setTopicConfigErrorCode");
  static Map<String,Set<String>> ignore;
  static Object fill(Object m, int depth) throws Exception {
    Method[] ms=m.getClass().getDeclaredMethods(); Arrays.sort(ms, Comparator.comparing(Method::getName));
    for (Method s: ms) if (s.getName().startsWith("set") && s.getParameterCount()==1 && !s.getName().equals("setNext") && !s.getName().equals("setPrev")) {
      if (tagged.contains(s.getName()) || (m instanceof FetchRequestData && s.getName().equals("setClusterId"))) continue;
      s.setAccessible(true); s.invoke(m, value(s.getParameterTypes()[0], s.getGenericParameterTypes()[0], s.getName(), depth)); }
    return m;
  }
  static void out(short key, short v, boolean req, Message m) {
    try { ObjectSerializationCache c=new ObjectSerializationCache(); int size=m.size(c,v); ByteBuffer b=ByteBuffer.allocate(size); m.write(new ByteBufferAccessor(b),c,v); b.flip(); StringBuilder h=new StringBuilder(); while(b.hasRemaining()) h.append(String.format("%02x",b.get())); System.out.println(key+" "+v+" "+(req?"q":"r")+" "+h); }
    catch (org.apache.kafka.common.errors.UnsupportedVersionException e) { throw e; }
  }
  // Fields that a version lacks must be at their default: reset those that make writing fail, one by one.
  static Message fitted(Message m, short v) throws Exception {
    for (int i=0;i<40;i++) { try { ObjectSerializationCache c=new ObjectSerializationCache(); m.size(c,v); ByteBuffer b=ByteBuffer.allocate(m.size(c,v)); m.write(new ByteBufferAccessor(b),c,v); return m; }
      catch (org.apache.kafka.common.errors.UnsupportedVersionException e) { String f=e.getMessage().replaceAll("Attempted to write a non-default (\\w+) at.*","$1"); reset(m,f); } }
    throw new RuntimeException("cannot fit "+m.getClass()+" v"+v);
  }
  static void reset(Object m, String f) throws Exception {
    Object fresh=m.getClass().getDeclaredConstructor().newInstance();
    for (Field d: m.getClass().getDeclaredFields()) { if (Modifier.isStatic(d.getModifiers())) continue; d.setAccessible(true);
      if (d.getName().equals(f)) d.set(m, d.get(fresh));
      else { Object o=d.get(m); if (o instanceof Collection) { for (Object e:(Collection<?>)o) if (e instanceof Message) reset(e,f); } else if (o instanceof Message) reset(o,f); } }
  }
  public static void main(String[] a) throws Exception {
    for (String spec: a) { String[] p=spec.split(":"); short key=Short.parseShort(p[0]); ApiMessageType t=ApiMessageType.fromApiKey(key);
      for (short v=Short.parseShort(p[1]); v<=Short.parseShort(p[2]); v++) { n=v; out(key,v,true,fitted((Message)fill(t.newRequest(),0),v)); n=v+50; out(key,v,false,fitted((Message)fill(t.newResponse(),0),v)); } }
  }
}
